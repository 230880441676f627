package dev.vireo.cli;

import com.google.protobuf.ByteString;
import dev.vireo.proto.v1.PortForwardRequest;
import dev.vireo.proto.v1.PortForwardResponse;
import dev.vireo.proto.v1.PortForwardStart;
import dev.vireo.proto.v1.StreamEnd;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.Optional;

/** Connections to this machine's ports, each carried to a port of a guest by a call of its own. */
final class PortForwards {
  private static final int DATA_BYTES = 32 << 10;

  private final Api api;
  private final String microVm;
  private final PrintStream err;

  /**
   * @param microVm its resource name
   * @param err is told of connections that failed
   */
  PortForwards(Api api, String microVm, PrintStream err) {
    this.api = api;
    this.microVm = microVm;
    this.err = err;
  }

  /** Takes connections until the socket is closed. */
  void serve(ServerSocket socket, int port) {
    while (!socket.isClosed()) {
      try {
        Socket connection = socket.accept();
        Thread.ofVirtual().name("forward-" + port).start(() -> forward(connection, port));
      } catch (IOException e) {
        if (!socket.isClosed()) {
          err.println("vireo: cannot take a connection: " + e.getMessage());
        }
      }
    }
  }

  private void forward(Socket connection, int port) {
    try (connection;
        DuplexCall<PortForwardRequest, PortForwardResponse> call =
            new DuplexCall<>(responses -> api.microVmCalls().portForward(responses))) {
      call.send(
          PortForwardRequest.newBuilder()
              .setStart(PortForwardStart.newBuilder().setName(microVm).setPort(port))
              .build());
      Thread up = Thread.ofVirtual().name("to-guest").start(() -> send(connection, call));
      receive(connection, call);
      up.join();
    } catch (StatusRuntimeException e) {
      Status status = e.getStatus();
      String why =
          status.getDescription() == null ? status.getCode().name() : status.getDescription();
      String where = "port %d: ".formatted(port);
      err.println("vireo: " + (why.startsWith(where) ? why : where + why));
    } catch (IOException e) {
      // The peer here has gone: closing the call tells the one in the guest.
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private static void send(
      Socket connection, DuplexCall<PortForwardRequest, PortForwardResponse> call) {
    byte[] buffer = new byte[DATA_BYTES];
    try {
      int count = connection.getInputStream().read(buffer);
      while (count >= 0
          && call.send(
              PortForwardRequest.newBuilder()
                  .setData(ByteString.copyFrom(buffer, 0, count))
                  .build())) {
        count = connection.getInputStream().read(buffer);
      }
      call.send(PortForwardRequest.newBuilder().setEnd(StreamEnd.getDefaultInstance()).build());
      call.halfClose();
    } catch (IOException e) {
      call.close();
    }
  }

  /** Until the guest sends no more, and the call has ended. */
  private static void receive(
      Socket connection, DuplexCall<PortForwardRequest, PortForwardResponse> call)
      throws IOException {
    OutputStream out = connection.getOutputStream();
    for (Optional<PortForwardResponse> next = call.next(); next.isPresent(); next = call.next()) {
      switch (next.get().getResponseCase()) {
        case DATA -> {
          next.get().getData().writeTo(out);
          out.flush();
        }
        case END -> connection.shutdownOutput();
        case CONNECTED, RESPONSE_NOT_SET -> {}
      }
    }
  }
}
