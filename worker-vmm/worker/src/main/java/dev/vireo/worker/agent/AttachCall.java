package dev.vireo.worker.agent;

import dev.vireo.proto.agent.v1.EndOfData;
import dev.vireo.proto.agent.v1.ExecRequest;
import dev.vireo.proto.agent.v1.HostMessage;
import dev.vireo.proto.agent.v1.TerminalSize;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.v1.AttachResponse;
import dev.vireo.proto.v1.AttachStart;
import dev.vireo.proto.v1.AttachStarted;
import dev.vireo.proto.v1.ConsoleSize;
import dev.vireo.proto.v1.StreamLogsResponse;
import dev.vireo.proto.worker.v1.TunnelDown;
import dev.vireo.proto.worker.v1.TunnelUp;
import dev.vireo.worker.log.LogFile;
import dev.vireo.worker.log.OutputLog;
import java.io.IOException;
import java.util.Optional;

/**
 * A client at a container's process, on behalf of a tunnel: what is in the process' log up, what it
 * is to read down. A client that does not read misses what the log drops, and holds up nobody.
 */
final class AttachCall {
  private static final int CHUNK_BYTES = 32 << 10;

  private final Tunnel tunnel;
  private final AttachStart start;
  private final ExecRequest process;
  private final OutputLog log;
  private final AttachPoint point;
  private volatile boolean gone;
  private boolean stdinEnded; // Of the sender.

  AttachCall(
      Tunnel tunnel, AttachStart start, ExecRequest process, OutputLog log, AttachPoint point) {
    this.tunnel = tunnel;
    this.start = start;
    this.process = process;
    this.log = log;
    this.point = point;
  }

  /** Until the process has ended, or the client has. */
  void run() throws AgentException, Tunnel.GoneException, InterruptedException {
    if (start.getStdin() && !process.getStdin()) {
      throw AgentException.invalid(
          "start.stdin", "is for a process that reads its own: see spec.container.stdin.");
    }
    if (start.hasTerminal()) {
      checkTerminal("start.terminal");
    }
    if (!start.getStdin()) {
      attend();
      return;
    }
    point.takeStdin();
    try {
      attend();
    } finally {
      point.giveStdin();
    }
  }

  private void checkTerminal(String field) throws AgentException {
    if (!process.hasTerminal()) {
      throw AgentException.invalid(
          field, "is for a process with a terminal: see spec.container.terminal.");
    }
  }

  private void attend() throws AgentException, Tunnel.GoneException, InterruptedException {
    long offset = start.hasOffset() ? start.getOffset() : point.written();
    tunnel.onGone(this::leave);
    up(AttachResponse.newBuilder().setStarted(AttachStarted.newBuilder().setOffset(offset)));
    Thread sender = Thread.ofVirtual().name("attached").start(this::send);
    try {
      passOutput(offset);
    } finally {
      sender.interrupt();
      sender.join();
    }
    tunnel.complete();
  }

  private void leave() {
    gone = true;
    point.wake();
  }

  // ---- from the process

  private void passOutput(long from)
      throws AgentException, Tunnel.GoneException, InterruptedException {
    long offset = from;
    boolean over = false;
    while (!over) {
      over = point.awaitOutput(start.getInputOnly() ? Long.MAX_VALUE : offset, () -> gone);
      if (gone) {
        throw new Tunnel.GoneException();
      }
      if (!start.getInputOnly()) {
        offset = passLog(offset);
      }
    }
    up(
        AttachResponse.newBuilder()
            .setExited(
                point
                    .exited()
                    .orElseThrow(() ->
                        new AgentException(
                            ErrorReason.STATE_CONFLICT,
                            "",
                            "the guest has ended, and not by its process: see vireo get"))));
  }

  /** What there is from here on. Returns where that ends. */
  private long passLog(long from)
      throws AgentException, Tunnel.GoneException, InterruptedException {
    try {
      LogFile.Chunk chunk = log.read(from, CHUNK_BYTES);
      while (!chunk.bytes().isEmpty()) {
        up(response(chunk));
        chunk = log.read(chunk.end(), CHUNK_BYTES);
      }
      return chunk.end();
    } catch (LogFile.NoSuchOffsetException e) {
      throw new AgentException(ErrorReason.LOG_OFFSET_INVALID, "", String.valueOf(e.getMessage()));
    } catch (IOException e) {
      throw new AgentException(ErrorReason.INTERNAL, "", "the log cannot be read: " + e);
    }
  }

  private static AttachResponse.Builder response(LogFile.Chunk chunk) {
    boolean error =
        chunk
            .origin()
            .filter(origin -> origin.stream() == StreamLogsResponse.Stream.STDERR)
            .isPresent();
    return error
        ? AttachResponse.newBuilder().setStderr(chunk.bytes())
        : AttachResponse.newBuilder().setStdout(chunk.bytes());
  }

  private void up(AttachResponse.Builder response)
      throws Tunnel.GoneException, InterruptedException {
    tunnel.send(TunnelUp.newBuilder().setAttach(response).build());
  }

  // ---- to the process

  private void send() {
    try {
      if (start.hasTerminal()) {
        point.send(resize(start.getTerminal()));
      }
      for (Optional<TunnelDown> next = tunnel.receive();
          next.isPresent();
          next = tunnel.receive()) {
        point.send(message(next.get()));
      }
    } catch (AgentException e) {
      tunnel.fail(e.toFailure());
      leave();
    } catch (Tunnel.GoneException e) {
      leave();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt(); // It is over.
    }
  }

  private HostMessage message(TunnelDown down) throws AgentException {
    HostMessage.Builder message = HostMessage.newBuilder();
    switch (down.getAttach().getRequestCase()) {
      case STDIN -> {
        checkStdin("stdin");
        message.setData(down.getAttach().getStdin());
      }
      case STDIN_END -> {
        checkStdin("stdin_end");
        stdinEnded = true;
        point.endStdin();
        message.setEnd(EndOfData.getDefaultInstance());
      }
      case RESIZE -> {
        checkTerminal("resize");
        return resize(down.getAttach().getResize());
      }
      case SIGNAL -> message.setSignal(down.getAttach().getSignal());
      case START, REQUEST_NOT_SET -> throw Conversation.outOfTurn(down);
    }
    return message.build();
  }

  private void checkStdin(String field) throws AgentException {
    if (!start.getStdin() || stdinEnded) {
      throw AgentException.invalid(field, "has ended, or was not asked for in start.stdin.");
    }
  }

  private static HostMessage resize(ConsoleSize size) {
    return HostMessage.newBuilder()
        .setResize(TerminalSize.newBuilder().setColumns(size.getColumns()).setRows(size.getRows()))
        .build();
  }
}
