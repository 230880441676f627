package dev.vireo.worker.agent;

import dev.vireo.proto.agent.v1.AgentMessage;
import dev.vireo.proto.agent.v1.ConnectRequest;
import dev.vireo.proto.agent.v1.HostMessage;
import dev.vireo.proto.v1.PortConnected;
import dev.vireo.proto.v1.PortForwardResponse;
import dev.vireo.proto.v1.PortForwardStart;
import dev.vireo.proto.v1.StreamEnd;
import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.proto.worker.v1.TunnelUp;
import java.util.List;

/** A connection to a server in the guest: bytes both ways, each way until its end. */
final class PortForwardConversation implements Conversation {
  private final PortForwardStart start;
  private boolean clientEnded; // Of the client's thread.
  private boolean connected; // And these of the agent's.
  private boolean over;

  PortForwardConversation(PortForwardStart start) {
    this.start = start;
  }

  @Override
  public List<HostMessage> opening() {
    return List.of(
        HostMessage.newBuilder()
            .setConnect(ConnectRequest.newBuilder().setPort(start.getPort()))
            .build());
  }

  @Override
  public List<HostMessage> fromClient(TunnelDown message) throws AgentException {
    return switch (message.getPortForward().getRequestCase()) {
      case DATA -> {
        if (clientEnded) {
          throw AgentException.invalid("data", "comes after the end.");
        }
        yield List.of(HostMessage.newBuilder().setData(message.getPortForward().getData()).build());
      }
      case END -> clientEnded();
      case START, REQUEST_NOT_SET -> throw Conversation.outOfTurn(message);
    };
  }

  @Override
  public List<HostMessage> clientEnded() {
    if (clientEnded) {
      return List.of();
    }
    clientEnded = true;
    return List.of(END_OF_DATA);
  }

  @Override
  public boolean isClientDone() {
    return clientEnded;
  }

  @Override
  public List<TunnelUp> fromAgent(AgentMessage message) throws AgentException {
    PortForwardResponse.Builder response = PortForwardResponse.newBuilder();
    if (connected != (message.getMessageCase() != AgentMessage.MessageCase.DONE)) {
      throw Conversation.outOfTurn(message);
    }
    switch (message.getMessageCase()) {
      case DONE -> {
        connected = true;
        response.setConnected(PortConnected.getDefaultInstance());
      }
      case DATA -> response.setData(Conversation.checked(message.getData()));
      case END -> {
        over = true;
        response.setEnd(StreamEnd.getDefaultInstance());
      }
      case STATUS, STARTED, STDOUT, STDERR, EXITED, ENTRY, FAILURE, MESSAGE_NOT_SET ->
          throw Conversation.outOfTurn(message);
    }
    return List.of(TunnelUp.newBuilder().setPortForward(response).build());
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
    return true;
  }

  @Override
  public String field(String agents) {
    return "start.port";
  }
}
