package dev.vireo.worker.agent;

import dev.vireo.proto.agent.v1.AgentMessage;
import dev.vireo.proto.agent.v1.ExecRequest;
import dev.vireo.proto.agent.v1.Exited;
import dev.vireo.proto.agent.v1.HostMessage;
import dev.vireo.proto.agent.v1.TerminalSize;
import dev.vireo.proto.v1.ConsoleSize;
import dev.vireo.proto.v1.ExecExited;
import dev.vireo.proto.v1.ExecResponse;
import dev.vireo.proto.v1.ExecStart;
import dev.vireo.proto.v1.ExecStarted;
import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.proto.worker.v1.TunnelUp;
import java.util.List;
import java.util.Set;
import java.util.TreeMap;

/** A command in the guest: its input and signals down; its output, and how it ended, up. */
final class ExecConversation implements Conversation {
  private static final int MAX_STATUS = 255;
  private static final int MAX_SIGNAL = 64;

  /** What shells add to the number of the signal that has killed a command. */
  private static final int KILLED = 128;

  /** What an agent may find wrong, by the names that it has in either request. */
  private static final Set<String> FIELDS =
      Set.of("arguments", "environment", "working_directory", "user", "terminal");

  private final ExecStart start;
  private boolean stdinEnded; // Of the client's thread.
  private boolean started; // And these of the agent's.
  private boolean over;

  ExecConversation(ExecStart start) {
    this.start = start;
  }

  @Override
  public List<HostMessage> opening() {
    ExecRequest.Builder exec =
        ExecRequest.newBuilder()
            .addAllArguments(start.getArgumentsList())
            .setWorkingDirectory(start.getWorkingDirectory())
            .setUser(start.getUser())
            .setStdin(start.getStdin())
            .setDetach(start.getDetach());
    new TreeMap<>(start.getEnvironmentMap())
        .forEach((name, value) -> exec.addEnvironment(name + "=" + value));
    if (start.hasTerminal()) {
      exec.setTerminal(size(start.getTerminal()));
    }
    return List.of(HostMessage.newBuilder().setExec(exec).build());
  }

  private static TerminalSize size(ConsoleSize size) {
    return TerminalSize.newBuilder().setColumns(size.getColumns()).setRows(size.getRows()).build();
  }

  @Override
  public List<HostMessage> fromClient(TunnelDown message) throws AgentException {
    HostMessage.Builder host = HostMessage.newBuilder();
    return switch (message.getExec().getRequestCase()) {
      case STDIN -> {
        if (!start.getStdin() || stdinEnded) {
          throw AgentException.invalid("stdin", "has ended, or was not asked for in start.stdin.");
        }
        yield List.of(host.setData(message.getExec().getStdin()).build());
      }
      case STDIN_END -> endStdin();
      case RESIZE -> List.of(host.setResize(size(message.getExec().getResize())).build());
      case SIGNAL -> List.of(host.setSignal(message.getExec().getSignal()).build());
      case START, REQUEST_NOT_SET -> throw Conversation.outOfTurn(message);
    };
  }

  @Override
  public List<HostMessage> clientEnded() {
    return endStdin();
  }

  private List<HostMessage> endStdin() {
    if (!start.getStdin() || stdinEnded) {
      return List.of();
    }
    stdinEnded = true;
    return List.of(END_OF_DATA);
  }

  @Override
  public List<TunnelUp> fromAgent(AgentMessage message) throws AgentException {
    ExecResponse.Builder response = ExecResponse.newBuilder();
    if (started != (message.getMessageCase() != AgentMessage.MessageCase.STARTED)) {
      throw Conversation.outOfTurn(message);
    }
    switch (message.getMessageCase()) {
      case STARTED -> {
        started = true;
        over = start.getDetach();
        response.setStarted(ExecStarted.newBuilder().setPid(message.getStarted().getPid()));
      }
      case STDOUT -> response.setStdout(Conversation.checked(message.getStdout()));
      case STDERR -> response.setStderr(Conversation.checked(message.getStderr()));
      case EXITED -> {
        over = true;
        response.setExited(exited(message.getExited()));
      }
      case STATUS, DATA, END, ENTRY, DONE, FAILURE, MESSAGE_NOT_SET ->
          throw Conversation.outOfTurn(message);
    }
    return List.of(TunnelUp.newBuilder().setExec(response).build());
  }

  /** What an agent says of a process' end, as shells count it. */
  static ExecExited exited(Exited exited) throws AgentException {
    int status = exited.getStatus();
    int signal = exited.getSignal();
    if (status < 0 || status > MAX_STATUS || signal < 0 || signal > MAX_SIGNAL) {
      throw AgentException.broken(
          "said that the process ended with status %s and signal %s"
              .formatted(Integer.toUnsignedString(status), Integer.toUnsignedString(signal)));
    }
    return ExecExited.newBuilder()
        .setStatus(signal == 0 ? status : KILLED + signal)
        .setSignal(signal)
        .build();
  }

  @Override
  public boolean isOver() {
    return over;
  }

  @Override
  public boolean answersAtOnce() {
    return true;
  }

  @Override
  public boolean outlivesAgentsEnd() {
    return false;
  }

  @Override
  public String field(String agents) {
    return FIELDS.contains(agents) ? "start." + agents : "";
  }
}
