package dev.vireo.cli;

import com.google.protobuf.ByteString;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.HttpHeader;
import dev.vireo.proto.v1.InvokeEnd;
import dev.vireo.proto.v1.InvokeHead;
import dev.vireo.proto.v1.InvokeRequest;
import dev.vireo.proto.v1.InvokeResponse;
import dev.vireo.proto.v1.InvokeStart;
import io.grpc.stub.StreamObserver;

/**
 * A guest's HTTP server, which answers with the status that the path says, and sends the body back.
 */
final class FakeWeb {
  volatile InvokeStart start = InvokeStart.getDefaultInstance();

  StreamObserver<InvokeRequest> invoke(StreamObserver<InvokeResponse> client) {
    return new StreamObserver<>() {
      private ByteString body = ByteString.EMPTY;

      @Override
      public void onNext(InvokeRequest request) {
        switch (request.getRequestCase()) {
          case START -> {
            start = request.getStart();
            if (start.getPath().equals("/deaf")) {
              client.onError(Errors.of(ErrorReason.PORT_REFUSED, "nobody listens on port 8080"));
            }
          }
          case BODY -> body = body.concat(request.getBody());
          case END -> answer(body, client);
          case REQUEST_NOT_SET -> {}
        }
      }

      @Override
      public void onError(Throwable error) {}

      @Override
      public void onCompleted() {}
    };
  }

  private void answer(ByteString body, StreamObserver<InvokeResponse> client) {
    if (start.getPath().equals("/deaf")) {
      return;
    }
    client.onNext(
        InvokeResponse.newBuilder()
            .setHead(
                InvokeHead.newBuilder()
                    .setStatus(Integer.parseInt(start.getPath().substring(1, 4)))
                    .addHeaders(
                        HttpHeader.newBuilder()
                            .setName("Server")
                            .setValue(
                                start.getPath().endsWith("hostile") ? "fa\u001b[2Jke" : "fake")))
            .build());
    client.onNext(InvokeResponse.newBuilder().setBody(body).build());
    if (!start.getPath().endsWith("vanish")) {
      client.onNext(InvokeResponse.newBuilder().setEnd(InvokeEnd.getDefaultInstance()).build());
    }
    client.onCompleted();
  }
}
