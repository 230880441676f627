package dev.vireo.worker.agent.program;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import dev.vireo.proto.agent.v1.AgentMessage;
import dev.vireo.proto.agent.v1.Exited;
import java.util.List;
import java.util.function.Function;

/** What a command in the guest has written, and how it ended. */
record Ran(String stdout, String stderr, Exited exited) {
  /** From all that was said after exec. */
  static Ran of(List<AgentMessage> messages) {
    assertTrue(messages.getFirst().hasStarted(), messages::toString);
    return ofRest(messages.subList(1, messages.size()));
  }

  /** From all that was said after Started. */
  static Ran ofRest(List<AgentMessage> messages) {
    assertTrue(messages.getLast().hasExited(), messages::toString);
    return new Ran(
        text(messages, AgentMessage::getStdout),
        text(messages, AgentMessage::getStderr),
        messages.getLast().getExited());
  }

  private static String text(List<AgentMessage> messages, Function<AgentMessage, ByteString> of) {
    return messages.stream().map(of).reduce(ByteString.EMPTY, ByteString::concat).toStringUtf8();
  }
}
