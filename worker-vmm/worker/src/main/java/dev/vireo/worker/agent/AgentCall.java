package dev.vireo.worker.agent;

import dev.vireo.proto.agent.v1.AgentMessage;
import dev.vireo.proto.agent.v1.HostMessage;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.proto.worker.v1.TunnelUp;
import dev.vireo.worker.time.Time;
import dev.vireo.worker.time.Time.Alarm;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;

/**
 * One conversation with an agent, on behalf of a tunnel: two threads, one for each direction, of
 * which each waits until the other side takes what it has.
 */
final class AgentCall {
  /** For a guest that has just booted to start its agent. */
  static final Duration CONNECTED_WITHIN = Duration.ofSeconds(10);

  /** For an agent to begin what it was asked for: guests may be slow, and their disks. */
  static final Duration ANSWER_WITHIN = Duration.ofSeconds(30);

  private final Tunnel tunnel;
  private final Conversation conversation;
  private final Time time;
  private final AgentConnection agent;

  /** Why this side has closed the connection, if it has. */
  private final AtomicReference<AgentException> verdict = new AtomicReference<>();

  private volatile boolean agentGone;

  AgentCall(Tunnel tunnel, Conversation conversation, Time time) {
    this.tunnel = tunnel;
    this.conversation = conversation;
    this.time = time;
    this.agent = new AgentConnection(time);
  }

  /** From the connection to its end. */
  void run(Path socket) throws AgentException, Tunnel.GoneException, InterruptedException {
    Alarm limit =
        conversation
            .timeLimit()
            .map(patience -> time.after(patience, this::timeIsUp))
            .orElse(() -> {});
    try (agent) {
      tunnel.onGone(agent::close);
      agent.open(socket, CONNECTED_WITHIN);
      tell(conversation.opening());
      Thread sender = Thread.ofVirtual().name("to-agent").start(this::send);
      try {
        receive();
        if (conversation.outlivesAgentsEnd()) {
          sender.join();
          checkAgent();
        }
      } finally {
        sender.interrupt();
      }
    } catch (AgentException e) {
      AgentException first = verdict.get();
      throw first == null ? e : first;
    } finally {
      limit.cancel();
    }
    tunnel.complete();
  }

  private void checkAgent() throws AgentException {
    if (verdict.get() != null || agentGone) {
      throw AgentException.broken("ended the connection");
    }
  }

  // ---- from the agent

  private void receive() throws AgentException, Tunnel.GoneException, InterruptedException {
    Alarm late = conversation.answersAtOnce() ? time.after(ANSWER_WITHIN, this::late) : () -> {};
    try {
      while (!conversation.isOver()) {
        AgentMessage message = agent.read();
        late.cancel();
        if (message.hasFailure()) {
          throw conversation.failure(message.getFailure());
        }
        for (TunnelUp up : conversation.fromAgent(message)) {
          tunnel.send(up);
        }
      }
    } finally {
      late.cancel();
    }
  }

  private void late() {
    end(
        new AgentException(
            ErrorReason.AGENT_UNAVAILABLE,
            "",
            "the guest's agent did not answer within %d s".formatted(ANSWER_WITHIN.toSeconds())));
  }

  // ---- to the agent

  private void send() {
    try {
      Optional<TunnelDown> next = tunnel.receive();
      while (next.isPresent()) {
        tell(conversation.fromClient(next.get()));
        if (agentGone || conversation.isClientDone()) {
          return;
        }
        next = tunnel.receive();
      }
      tell(conversation.clientEnded());
    } catch (AgentException e) {
      end(e);
    } catch (Tunnel.GoneException e) {
      agent.close();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt(); // It is over.
    }
  }

  /** Whatever an agent has said before it went is heard first, by the other thread. */
  private void tell(List<HostMessage> messages) {
    try {
      for (HostMessage message : messages) {
        if (!agentGone) {
          agent.send(message);
        }
      }
    } catch (IOException e) {
      agentGone = true;
    }
  }

  /** Whoever waits for the client, which may not read, waits no longer either. */
  private void timeIsUp() {
    AgentException why = conversation.timedOut();
    end(why);
    tunnel.fail(why.toFailure());
  }

  private void end(AgentException why) {
    verdict.compareAndSet(null, why);
    agent.close();
  }
}
