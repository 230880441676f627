package dev.vireo.vmm.control;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.vireo.linux.LinuxException;
import dev.vireo.linux.MessageSocket;
import dev.vireo.linux.UnixListener;
import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.vmm.v1.VmmEvent;
import dev.vireo.proto.vmm.v1.VmmMessage;
import dev.vireo.proto.vmm.v1.VmmRequest;
import dev.vireo.proto.vmm.v1.VmmResponse;
import dev.vireo.proto.vmm.v1.VmmState;
import dev.vireo.proto.vmm.v1.VsockDial;
import dev.vireo.vmm.machine.MachineFactory;
import java.time.Duration;
import java.time.InstantSource;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Serves {@code vireo.vmm.v1} to one worker at a time. A worker that goes away may come back; the
 * microVM runs on meanwhile. Once that has ended there is nothing left to do but to tell: to the
 * worker that is connected, until it says release, or to the exit record alone.
 */
public final class ControlServer {
  private final UnixListener workers;
  private final Duration releaseWithin;
  private final MicroVm microVm;

  private final Object connecting = new Object();
  private final Object telling = new Object();
  private @Nullable MessageSocket worker;
  private boolean over;

  /**
   * @param workers the socket on which workers connect
   * @param releaseWithin how long a worker that is connected may take to say release after the end
   * @param machines that the microVM's machine comes from
   */
  public ControlServer(
      UnixListener workers, Duration releaseWithin, MachineFactory machines, InstantSource time) {
    this.workers = workers;
    this.releaseWithin = releaseWithin;
    this.microVm = new MicroVm(machines, time, new Teller());
  }

  /** Serves workers; returns when there is no reason left for this process to live. */
  public void run() {
    Log.line("idle");
    while (true) {
      MessageSocket connection = workers.accept();
      if (connection == null || !connect(connection)) {
        return;
      }
      serve(connection);
      if (!disconnect(connection)) {
        return;
      }
    }
  }

  private boolean connect(MessageSocket connection) {
    synchronized (connecting) {
      worker = connection;
      return !over;
    }
  }

  /** Nobody is there to say release any more, so the end of the microVM is our end. */
  private boolean disconnect(MessageSocket connection) {
    synchronized (connecting) {
      worker = null;
      connection.close();
    }
    microVm.workerLost();
    synchronized (connecting) {
      return !over && microVm.state() != VmmState.VMM_ENDED;
    }
  }

  private void serve(MessageSocket connection) {
    try {
      while (true) {
        MessageSocket.Message message = connection.receive();
        if (message == null) {
          return;
        }
        long receivedNanos = System.nanoTime();
        try (Descriptors descriptors = new Descriptors(message.descriptors())) {
          VmmRequest request = VmmRequest.parseFrom(message.bytes());
          VmmResponse.Builder response = answer(request, descriptors, receivedNanos);
          respond(connection, response);
          if (request.hasRelease() && response.getErrorReason().isEmpty()) {
            over();
            return;
          }
        }
      }
    } catch (InvalidProtocolBufferException | MessageSocket.BrokenFrameException e) {
      Log.line("the worker does not speak our language: " + e.getMessage());
    } catch (LinuxException e) {
      Log.line("lost the worker: " + e.getMessage());
    } catch (RuntimeException | Error e) {
      // There was no memory for a message, most likely, and nobody knows how much of it was read.
      // The worker ends a VMM that hangs up; without this thread nobody could stop the guest.
      Log.bug("gave the worker up", e);
    }
  }

  /** All but the status. */
  private VmmResponse.Builder answer(
      VmmRequest request, Descriptors descriptors, long receivedNanos) {
    VmmResponse.Builder response = VmmResponse.newBuilder().setId(request.getId());
    try {
      switch (request.getRequestCase()) {
        case STATUS -> {}
        case CREATE -> microVm.create(request.getCreate(), descriptors, receivedNanos);
        case PAUSE -> microVm.pause();
        case RESUME -> microVm.resume();
        case STOP -> microVm.stop(Integer.toUnsignedLong(request.getStop().getGraceMs()));
        case INSPECT -> response.setInspection(microVm.inspect(request.getInspect()));
        case RELEASE -> checkReleasable();
        case RESIZE_MEMORY -> microVm.resizeMemory(request.getResizeMemory());
        case VSOCK_DIALED -> microVm.dialed(request.getVsockDialed(), descriptors);
        case RESIZE_CONSOLE -> microVm.resizeConsole(request.getResizeConsole());
        case BEGIN_TRACE -> microVm.beginTrace(request.getBeginTrace());
        case READ_TRACE -> response.setTrace(microVm.readTrace(request.getReadTrace()));
        case END_TRACE -> microVm.endTrace();
        case REQUEST_NOT_SET ->
            throw new RequestException(
                ErrorReason.INTERNAL, "", "a request that this VMM does not know");
      }
    } catch (RequestException e) {
      refuse(response, e.reason(), e.field(), e.getMessage());
    } catch (InterruptedException | RuntimeException | Error e) {
      Log.bug("a request failed", e);
      refuse(response, ErrorReason.INTERNAL, "", e.toString());
    }
    return response;
  }

  private static void refuse(
      VmmResponse.Builder response, ErrorReason reason, String field, @Nullable String message) {
    response
        .setErrorReason(reason.name())
        .setErrorField(field)
        .setErrorMessage(String.valueOf(message));
  }

  private void checkReleasable() throws RequestException {
    VmmState state = microVm.state();
    if (state != VmmState.VMM_ENDED && state != VmmState.VMM_IDLE) {
      throw new RequestException(ErrorReason.STATE_CONFLICT, "", "the microVM is " + state.name());
    }
  }

  /** With the status of this moment: that of an event before it is an older one. */
  private void respond(MessageSocket connection, VmmResponse.Builder response) {
    synchronized (telling) {
      response.setStatus(microVm.status());
      send(connection, VmmMessage.newBuilder().setResponse(response).build());
    }
  }

  /** Events and answers in the order in which they were made. */
  private void send(MessageSocket connection, VmmMessage message) {
    synchronized (telling) {
      connection.send(message.toByteArray(), List.of());
    }
  }

  /** Ends {@link #run}, wherever it waits. */
  private void over() {
    synchronized (connecting) {
      over = true;
      workers.shutdown();
      if (worker != null) {
        worker.shutdown();
      }
      connecting.notifyAll();
    }
  }

  private void awaitRelease() {
    long deadline = System.nanoTime() + releaseWithin.toNanos();
    synchronized (connecting) {
      try {
        long leftMillis = releaseWithin.toMillis();
        while (worker != null && !over && leftMillis > 0) {
          connecting.wait(leftMillis);
          leftMillis = (deadline - System.nanoTime()) / 1_000_000;
        }
      } catch (InterruptedException e) {
        // Nobody does; and there is nothing to wait for any more.
      }
    }
    over();
  }

  /** Tells the worker that is connected, if one is. */
  private final class Teller implements MicroVm.Listener {
    @Override
    public void changed() {
      MessageSocket connection;
      synchronized (connecting) {
        connection = worker;
      }
      if (connection == null) {
        return;
      }
      try {
        synchronized (telling) {
          VmmEvent event = VmmEvent.newBuilder().setStatus(microVm.status()).build();
          send(connection, VmmMessage.newBuilder().setEvent(event).build());
        }
      } catch (LinuxException | IllegalStateException e) {
        // It went away. It will ask when it comes back.
      }
    }

    @Override
    public boolean dial(int key, int port) {
      MessageSocket connection;
      synchronized (connecting) {
        connection = worker;
      }
      if (connection == null) {
        return false;
      }
      try {
        VsockDial dial = VsockDial.newBuilder().setKey(key).setPort(port).build();
        send(connection, VmmMessage.newBuilder().setVsockDial(dial).build());
        return true;
      } catch (LinuxException | IllegalStateException e) {
        return false; // It went away.
      }
    }

    @Override
    public void log(String what) {
      Log.line(what);
    }

    @Override
    public void ended() {
      Thread.ofPlatform().daemon().name("release").start(ControlServer.this::awaitRelease);
    }
  }
}
