package dev.vireo.worker.agent;

import com.google.protobuf.ByteString;
import dev.vireo.proto.agent.v1.AgentMessage;
import dev.vireo.proto.agent.v1.ConnectRequest;
import dev.vireo.proto.agent.v1.Failure;
import dev.vireo.proto.agent.v1.HostMessage;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.InvokeResponse;
import dev.vireo.proto.v1.InvokeStart;
import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.proto.worker.v1.TunnelUp;
import dev.vireo.worker.http.AnswerReader;
import dev.vireo.worker.http.BadAnswerException;
import dev.vireo.worker.http.RequestWriter;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * An HTTP request to a server in the guest, on a connection of its own: the request down, the
 * answer up. The connection is not half-closed after the request, which servers take for a client
 * that has gone.
 */
final class InvokeConversation implements Conversation {
  static final Duration USUAL_LIMIT = Duration.ofSeconds(60);

  private final InvokeStart start;
  private final RequestWriter request; // Of the client's thread, as are these.
  private final ContentLength body = new ContentLength();
  private boolean clientEnded;
  private final AnswerReader answer; // Of the agent's thread, as is this.
  private volatile boolean connected;

  InvokeConversation(InvokeStart start) throws AgentException {
    this.start = start;
    try {
      this.request = new RequestWriter(start);
    } catch (IllegalArgumentException e) {
      throw AgentException.invalid("start", "is no HTTP request: " + e.getMessage());
    }
    this.answer = new AnswerReader(request.asksForHeadAlone());
    request.contentLength().ifPresent(body::next);
  }

  @Override
  public List<HostMessage> opening() {
    List<HostMessage> opening = new ArrayList<>();
    opening.add(
        HostMessage.newBuilder()
            .setConnect(ConnectRequest.newBuilder().setPort(start.getPort()))
            .build());
    opening.addAll(data(request.begin()));
    return opening;
  }

  @Override
  public List<HostMessage> fromClient(TunnelDown message) throws AgentException {
    return switch (message.getInvoke().getRequestCase()) {
      case BODY -> {
        ByteString bytes = message.getInvoke().getBody();
        if (request.contentLength().isPresent()) {
          check(body.add(bytes.size()));
        }
        yield data(request.body(bytes));
      }
      case END -> clientEnded();
      case START, REQUEST_NOT_SET -> throw Conversation.outOfTurn(message);
    };
  }

  @Override
  public List<HostMessage> clientEnded() throws AgentException {
    if (clientEnded) {
      return List.of();
    }
    clientEnded = true;
    check(body.end());
    return data(request.end());
  }

  private static void check(Optional<String> complaint) throws AgentException {
    if (complaint.isPresent()) {
      throw AgentException.invalid("body", complaint.get());
    }
  }

  private static List<HostMessage> data(ByteString bytes) {
    List<HostMessage> messages = new ArrayList<>();
    for (int from = 0; from < bytes.size(); from += AgentConnection.MAX_DATA_BYTES) {
      int to = Math.min(from + AgentConnection.MAX_DATA_BYTES, bytes.size());
      messages.add(HostMessage.newBuilder().setData(bytes.substring(from, to)).build());
    }
    return messages;
  }

  @Override
  public boolean isClientDone() {
    return clientEnded;
  }

  @Override
  public List<TunnelUp> fromAgent(AgentMessage message) throws AgentException {
    if (connected != (message.getMessageCase() != AgentMessage.MessageCase.DONE)) {
      throw Conversation.outOfTurn(message);
    }
    return switch (message.getMessageCase()) {
      case DONE -> {
        connected = true;
        yield List.of();
      }
      case DATA -> {
        ByteString bytes = Conversation.checked(message.getData());
        yield read(() -> answer.read(bytes));
      }
      case END -> read(answer::end);
      case STATUS, STARTED, STDOUT, STDERR, EXITED, ENTRY, FAILURE, MESSAGE_NOT_SET ->
          throw Conversation.outOfTurn(message);
    };
  }

  private interface Reading {
    List<InvokeResponse> read() throws BadAnswerException;
  }

  private List<TunnelUp> read(Reading reading) throws AgentException {
    try {
      return reading.read().stream()
          .map(response -> TunnelUp.newBuilder().setInvoke(response).build())
          .toList();
    } catch (BadAnswerException e) {
      throw new AgentException(
          e.isBrokenOff() ? ErrorReason.HTTP_BROKEN_OFF : ErrorReason.HTTP_INVALID,
          "",
          "the server at port %d %s"
              .formatted(start.getPort(), Conversation.printable(String.valueOf(e.getMessage()))));
    }
  }

  @Override
  public boolean isOver() {
    return answer.isOver();
  }

  /** A server that is busy takes its time to accept. */
  @Override
  public boolean answersAtOnce() {
    return false;
  }

  @Override
  public Optional<Duration> timeLimit() {
    return Optional.of(
        start.hasTimeout()
            ? Duration.ofSeconds(start.getTimeout().getSeconds(), start.getTimeout().getNanos())
            : USUAL_LIMIT);
  }

  @Override
  public AgentException timedOut() {
    return new AgentException(
        ErrorReason.HTTP_TIMED_OUT,
        "",
        "the server at port %d %s in time"
            .formatted(
                start.getPort(),
                answer.hasBegun()
                    ? "has begun its answer, but not ended it"
                    : connected ? "has not answered" : "has not accepted the connection"));
  }

  @Override
  public boolean outlivesAgentsEnd() {
    return false;
  }

  @Override
  public String field(String agents) {
    return "start.port";
  }

  /** Of a connection that there was, its end. */
  @Override
  public AgentException failure(Failure failure) {
    return connected
        ? new AgentException(
            ErrorReason.HTTP_BROKEN_OFF, "", Conversation.printable(failure.getMessage()))
        : Conversation.super.failure(failure);
  }
}
