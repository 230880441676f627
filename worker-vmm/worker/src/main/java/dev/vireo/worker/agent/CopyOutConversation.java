package dev.vireo.worker.agent;

import com.google.protobuf.ByteString;
import dev.vireo.proto.agent.v1.AgentMessage;
import dev.vireo.proto.agent.v1.HostMessage;
import dev.vireo.proto.agent.v1.ReadRequest;
import dev.vireo.proto.v1.CopyOutRequest;
import dev.vireo.proto.v1.CopyOutResponse;
import dev.vireo.proto.v1.FileEntry;
import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.proto.worker.v1.TunnelUp;
import java.util.List;
import java.util.Optional;

/** Files out of the guest: entries and their content up, each checked. */
final class CopyOutConversation implements Conversation {
  private final CopyOutRequest request;
  private final ContentLength content = new ContentLength();
  private boolean begun;
  private boolean isDirectory;
  private boolean over;

  CopyOutConversation(CopyOutRequest request) {
    this.request = request;
  }

  @Override
  public List<HostMessage> opening() {
    return List.of(
        HostMessage.newBuilder()
            .setRead(ReadRequest.newBuilder().setPath(request.getPath()))
            .build());
  }

  @Override
  public List<HostMessage> fromClient(TunnelDown message) throws AgentException {
    throw Conversation.outOfTurn(message);
  }

  @Override
  public List<HostMessage> clientEnded() {
    return List.of();
  }

  @Override
  public List<TunnelUp> fromAgent(AgentMessage message) throws AgentException {
    CopyOutResponse.Builder response = CopyOutResponse.newBuilder();
    switch (message.getMessageCase()) {
      case ENTRY -> {
        FileEntry entry = FileEntries.fromAgent(message.getEntry());
        checkPlace(entry);
        check("an entry that ", content.next(entry.getSize()));
        response.setEntry(entry);
      }
      case DATA -> {
        ByteString data = Conversation.checked(message.getData());
        check("data that ", content.add(data.size()));
        response.setData(data);
      }
      case END -> {
        if (!begun) {
          throw Conversation.outOfTurn(message);
        }
        check("an end that ", content.end());
        over = true;
        return List.of();
      }
      case STATUS, STARTED, STDOUT, STDERR, EXITED, DONE, FAILURE, MESSAGE_NOT_SET ->
          throw Conversation.outOfTurn(message);
    }
    return List.of(TunnelUp.newBuilder().setCopyOut(response).build());
  }

  /**
   * The path itself comes first, and what is below it after it. A link there is followed, so that
   * none comes: a client that made one would write through it.
   */
  private void checkPlace(FileEntry entry) throws AgentException {
    boolean isPathItself = entry.getPath().isEmpty();
    if (isPathItself == begun
        || (begun && !isDirectory)
        || (isPathItself && entry.getType() == FileEntry.Type.SYMBOLIC_LINK)) {
      throw AgentException.broken("sent an entry that cannot be there");
    }
    if (!begun) {
      begun = true;
      isDirectory = entry.getType() == FileEntry.Type.DIRECTORY;
    }
  }

  private static void check(String what, Optional<String> complaint) throws AgentException {
    if (complaint.isPresent()) {
      throw AgentException.broken("sent " + what + complaint.get());
    }
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
    return "path";
  }
}
