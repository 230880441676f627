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
import java.util.Optional;
import java.util.TreeMap;

/** A command in the guest: its input and signals down; its output, and how it ended, up. */
final class ExecConversation implements Conversation {
  private static final int MAX_STATUS = 255;
  private static final int MAX_SIGNAL = 64;

  /** What shells add to the number of the signal that has killed a command. */
  private static final int KILLED = 128;

  private final ExecStart start;
  private boolean stdinEnded; // Of the client's thread.
  private boolean started; // And these of the agent's.
  private boolean over;

  ExecConversation(ExecStart start) {
    this.start = start;
  }

  @Override
  public HostMessage opening() {
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
    return HostMessage.newBuilder().setExec(exec).build();
  }

  private static TerminalSize size(ConsoleSize size) {
    return TerminalSize.newBuilder().setColumns(size.getColumns()).setRows(size.getRows()).build();
  }

  @Override
  public Optional<HostMessage> fromClient(TunnelDown message) throws AgentException {
    HostMessage.Builder host = HostMessage.newBuilder();
    return switch (message.getExec().getRequestCase()) {
      case STDIN -> {
        if (!start.getStdin() || stdinEnded) {
          throw AgentException.invalid("stdin", "has ended, or was not asked for in start.stdin.");
        }
        yield Optional.of(host.setData(message.getExec().getStdin()).build());
      }
      case STDIN_END -> endStdin();
      case RESIZE -> Optional.of(host.setResize(size(message.getExec().getResize())).build());
      case SIGNAL -> Optional.of(host.setSignal(message.getExec().getSignal()).build());
      case START, REQUEST_NOT_SET -> throw Conversation.outOfTurn(message);
    };
  }

  @Override
  public Optional<HostMessage> clientEnded() {
    return endStdin();
  }

  private Optional<HostMessage> endStdin() {
    if (!start.getStdin() || stdinEnded) {
      return Optional.empty();
    }
    stdinEnded = true;
    return Optional.of(END_OF_DATA);
  }

  @Override
  public Optional<TunnelUp> fromAgent(AgentMessage message) throws AgentException {
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
    return Optional.of(TunnelUp.newBuilder().setExec(response).build());
  }

  private static ExecExited exited(Exited exited) throws AgentException {
    int status = exited.getStatus();
    int signal = exited.getSignal();
    if (status < 0 || status > MAX_STATUS || signal < 0 || signal > MAX_SIGNAL) {
      throw AgentException.broken(
          "said that the command ended with status %s and signal %s"
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

  /** Empty: it may be the program, the user or the directory, and the message says which. */
  @Override
  public String field() {
    return "";
  }
}
