package dev.vireo.worker.agent;

import dev.vireo.proto.agent.v1.AgentMessage;
import dev.vireo.proto.agent.v1.HostMessage;
import dev.vireo.proto.agent.v1.WriteRequest;
import dev.vireo.proto.v1.CopyInRequest;
import dev.vireo.proto.v1.CopyInResponse;
import dev.vireo.proto.v1.CopyInStart;
import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.proto.worker.v1.TunnelUp;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;

/** Files into the guest: entries and their content down; in the end, that all is there, up. */
final class CopyInConversation implements Conversation {
  private final CopyInStart start;
  private final ContentLength content = new ContentLength(); // Of the client's thread.
  private final AtomicLong entries = new AtomicLong();
  private final AtomicLong bytes = new AtomicLong();
  private volatile boolean clientEnded;
  private boolean over;

  CopyInConversation(CopyInStart start) {
    this.start = start;
  }

  @Override
  public List<HostMessage> opening() {
    return List.of(
        HostMessage.newBuilder()
            .setWrite(
                WriteRequest.newBuilder()
                    .setPath(start.getPath())
                    .setIntoDirectory(start.getIntoDirectory()))
            .build());
  }

  @Override
  public List<HostMessage> fromClient(TunnelDown message) throws AgentException {
    CopyInRequest request = message.getCopyIn();
    HostMessage.Builder host = HostMessage.newBuilder();
    switch (request.getRequestCase()) {
      case ENTRY -> {
        check("entry", content.next(request.getEntry().getSize()));
        entries.incrementAndGet();
        host.setEntry(FileEntries.toAgent(request.getEntry()));
      }
      case DATA -> {
        check("data", content.add(request.getData().size()));
        bytes.addAndGet(request.getData().size());
        host.setData(request.getData());
      }
      case START, REQUEST_NOT_SET -> throw Conversation.outOfTurn(message);
    }
    return List.of(host.build());
  }

  @Override
  public List<HostMessage> clientEnded() throws AgentException {
    check("data", content.end());
    clientEnded = true;
    return List.of(END_OF_DATA);
  }

  private static void check(String field, Optional<String> complaint) throws AgentException {
    if (complaint.isPresent()) {
      throw AgentException.invalid(field, complaint.get());
    }
  }

  @Override
  public List<TunnelUp> fromAgent(AgentMessage message) throws AgentException {
    if (!message.hasDone() || !clientEnded) {
      throw Conversation.outOfTurn(message);
    }
    over = true;
    return List.of(
        TunnelUp.newBuilder()
            .setCopyIn(CopyInResponse.newBuilder().setEntries(entries.get()).setBytes(bytes.get()))
            .build());
  }

  @Override
  public boolean isOver() {
    return over;
  }

  @Override
  public boolean answersAtOnce() {
    return false;
  }

  @Override
  public boolean outlivesAgentsEnd() {
    return false;
  }

  @Override
  public String field(String agents) {
    return "start.path";
  }
}
