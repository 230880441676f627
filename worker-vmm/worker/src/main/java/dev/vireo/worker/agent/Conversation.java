package dev.vireo.worker.agent;

import com.google.protobuf.ByteString;
import dev.vireo.proto.agent.v1.AgentMessage;
import dev.vireo.proto.agent.v1.EndOfData;
import dev.vireo.proto.agent.v1.Failure;
import dev.vireo.proto.agent.v1.HostMessage;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.proto.worker.v1.TunnelUp;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/**
 * Translates one call of a client's into what is said to an agent, and the agent's words back. Both
 * directions may be asked at the same time, each by one thread.
 */
sealed interface Conversation
    permits ExecConversation,
        CopyInConversation,
        CopyOutConversation,
        PortForwardConversation,
        InvokeConversation {
  HostMessage END_OF_DATA = HostMessage.newBuilder().setEnd(EndOfData.getDefaultInstance()).build();

  /** Longer messages of agents are cut. */
  int MAX_FAILURE_CHARACTERS = 500;

  /** That which begins with this message of a client's, which a controller has checked. */
  static Conversation of(TunnelDown first) throws AgentException {
    return switch (first.getMessageCase()) {
      case EXEC -> new ExecConversation(first.getExec().getStart());
      case COPY_IN -> new CopyInConversation(first.getCopyIn().getStart());
      case COPY_OUT -> new CopyOutConversation(first.getCopyOut());
      case PORT_FORWARD -> new PortForwardConversation(first.getPortForward().getStart());
      case INVOKE -> new InvokeConversation(first.getInvoke().getStart());
      case ATTACH, LOAD_IMAGE, LIST_IMAGES, DELETE_IMAGE, END, MESSAGE_NOT_SET ->
          throw AgentException.invalid("start", "is not set.");
    };
  }

  /** The first messages to the agent. */
  List<HostMessage> opening();

  /** What the agent is told of this. */
  List<HostMessage> fromClient(TunnelDown message) throws AgentException;

  /** What the agent is told when the client sends no more. */
  List<HostMessage> clientEnded() throws AgentException;

  /** Whether nothing may come from the client any more, though it has not ended its call. */
  default boolean isClientDone() {
    return false;
  }

  /** What the client is told of this. */
  List<TunnelUp> fromAgent(AgentMessage message) throws AgentException;

  /** Whether the agent has nothing more to say. */
  boolean isOver();

  /** Whether the agent says something at once: that it has begun. */
  boolean answersAtOnce();

  /** How long all of it may take, if there is a limit; beyond that, {@link #timedOut}. */
  default Optional<Duration> timeLimit() {
    return Optional.empty();
  }

  /** What the client is told when that was too short. */
  default AgentException timedOut() {
    throw new IllegalStateException("there is no limit");
  }

  /** Whether what the client sends is of use when the agent has nothing more to say. */
  boolean outlivesAgentsEnd();

  /**
   * The field of the client's request that is to blame if the agent refuses it; or empty.
   *
   * @param agents its name in the agent's request, if that is what the guest says
   */
  String field(String agents);

  /** What the client is told of an agent's failure. */
  default AgentException failure(Failure failure) {
    String message = printable(failure.getMessage());
    String field = field(failure.getField());
    return switch (failure.getCode()) {
      case INVALID -> new AgentException(ErrorReason.FIELD_INVALID, field, message);
      case NOT_FOUND -> new AgentException(ErrorReason.GUEST_NOT_FOUND, field, message);
      case NOT_EXECUTABLE -> new AgentException(ErrorReason.GUEST_NOT_EXECUTABLE, field, message);
      case UNSUPPORTED -> new AgentException(ErrorReason.FIELD_UNSUPPORTED, field, message);
      case PERMISSION_DENIED ->
          new AgentException(ErrorReason.GUEST_PERMISSION_DENIED, "", message);
      case REFUSED -> new AgentException(ErrorReason.PORT_REFUSED, "", message);
      case EXHAUSTED -> new AgentException(ErrorReason.GUEST_EXHAUSTED, "", message);
      case FAILED, CODE_UNSPECIFIED, UNRECOGNIZED ->
          new AgentException(ErrorReason.GUEST_FAILED, "", message);
    };
  }

  /** A guest's words, with nothing in them that a terminal would obey. */
  static String printable(String words) {
    return printable(words, MAX_FAILURE_CHARACTERS);
  }

  /** The same, of at most so many characters. */
  static String printable(String words, int most) {
    return words
        .substring(0, Math.min(most, words.length()))
        .codePoints()
        .map(character -> Character.isISOControl(character) ? '?' : character)
        .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append)
        .toString();
  }

  static AgentException outOfTurn(AgentMessage message) {
    return AgentException.broken("said %s out of turn".formatted(message.getMessageCase()));
  }

  /** For what a controller that checks would not have let pass. */
  static AgentException outOfTurn(TunnelDown message) {
    return AgentException.invalid("request", "came out of turn: " + message.getMessageCase());
  }

  /** Data of an agent's, of a length that it may have. */
  static ByteString checked(ByteString data) throws AgentException {
    if (data.size() > AgentConnection.MAX_DATA_BYTES) {
      throw AgentException.broken("sent %d bytes of data at once".formatted(data.size()));
    }
    return data;
  }
}
