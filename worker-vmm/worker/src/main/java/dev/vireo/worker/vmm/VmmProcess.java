package dev.vireo.worker.vmm;

import com.google.protobuf.InvalidProtocolBufferException;
import dev.vireo.linux.Errno;
import dev.vireo.linux.Fd;
import dev.vireo.linux.LinuxException;
import dev.vireo.linux.MessageSocket;
import dev.vireo.linux.ProcessHandleFd;
import dev.vireo.proto.vmm.v1.VmmMessage;
import dev.vireo.proto.vmm.v1.VmmRequest;
import dev.vireo.proto.vmm.v1.VmmResponse;
import dev.vireo.proto.vmm.v1.VmmState;
import dev.vireo.proto.vmm.v1.VmmStatus;
import dev.vireo.proto.vmm.v1.VsockDial;
import dev.vireo.worker.cgroup.Limits;
import dev.vireo.worker.cgroup.VmmGroups;
import dev.vireo.worker.time.Time;
import java.io.IOException;
import java.lang.System.Logger.Level;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;

/**
 * A VMM process on this machine: its pidfd, its control socket and its directory. The event loop's
 * thread reads, sees the end, and closes both descriptors.
 */
final class VmmProcess implements Vmm {
  private static final System.Logger LOG = System.getLogger("vmm");
  private static final int READ_BYTES = 16 << 10;

  /** What a VMM that closed its socket may take to end. */
  private static final Duration END_WITHIN = Duration.ofSeconds(1);

  private final VmmDirectory directory;
  private final ProcessHandleFd process;
  private final MessageSocket socket;
  private final VmmGroups groups;
  private final Time time;
  private final Consumer<VmmProcess> whenEnded;
  private final EventLoop.Registration socketEvents;
  private final FrameReader frames = new FrameReader();
  private final AtomicLong lastRequestId = new AtomicLong();
  private final Map<Long, CompletableFuture<VmmResponse>> pending = new ConcurrentHashMap<>();
  private @Nullable VmmListener listener;

  /** What came while nobody listened: the last word that is newer than any answer. */
  private @Nullable VmmStatus unheardStatus;

  private final List<VsockDial> unheardDials = new ArrayList<>();

  /** Set before the descriptors are closed: their numbers may be another VMM's then. */
  private @Nullable VmmExit exit;

  private VmmProcess(
      VmmDirectory directory,
      ProcessHandleFd process,
      MessageSocket socket,
      VmmGroups groups,
      EventLoop loop,
      Time time,
      Consumer<VmmProcess> whenEnded) {
    this.directory = directory;
    this.process = process;
    this.socket = socket;
    this.groups = groups;
    this.time = time;
    this.whenEnded = whenEnded;
    // A VMM that does not read must not hold up its worker: a full socket is an error here.
    socket.fd().setNonBlocking();
    this.socketEvents = loop.onReadable(socket.fd(), this::onReadable);
  }

  /** Begins to watch a process. Takes ownership of its handle and of the connected socket. */
  static VmmProcess watch(
      VmmDirectory directory,
      ProcessHandleFd process,
      MessageSocket socket,
      VmmGroups groups,
      EventLoop loop,
      Time time,
      Consumer<VmmProcess> whenEnded) {
    VmmProcess vmm = new VmmProcess(directory, process, socket, groups, loop, time, whenEnded);
    var _ = loop.onReadable(process.fd(), vmm::onProcessExit);
    return vmm;
  }

  @Override
  public String id() {
    return directory.id();
  }

  VmmDirectory directory() {
    return directory;
  }

  @Override
  public int pid() {
    return process.pid();
  }

  @Override
  public void listen(VmmListener next) {
    VmmExit already;
    synchronized (this) {
      // Before the event loop sees that somebody listens: what comes next is newer.
      if (unheardStatus != null) {
        next.onStatus(unheardStatus);
        unheardStatus = null;
      }
      unheardDials.forEach(next::onDial);
      unheardDials.clear();
      listener = next;
      already = exit;
    }
    if (already != null) {
      next.onExit(already);
    }
  }

  @Override
  public Fd assign(String microVmUid, long attempt) throws IOException {
    directory.writeAssignment(microVmUid, attempt);
    return directory.openExitRecord();
  }

  @Override
  public CompletableFuture<VmmResponse> request(VmmRequest.Builder request, List<Fd> descriptors) {
    long id = lastRequestId.incrementAndGet();
    CompletableFuture<VmmResponse> answer = new CompletableFuture<>();
    byte[] message = request.setId(id).build().toByteArray();
    synchronized (this) {
      if (exit != null) {
        return CompletableFuture.failedFuture(new VmmGoneException("its VMM " + exit.describe()));
      }
      pending.put(id, answer);
      try {
        socket.send(message, descriptors);
      } catch (LinuxException e) {
        // As good as gone: half a message may have been sent. The answer fails with its end.
        LOG.log(Level.WARNING, "{0} takes no requests: {1}", this, e);
        kill();
      }
    }
    return answer;
  }

  @Override
  public synchronized void kill() {
    if (exit == null) {
      process.signal(ProcessHandleFd.SIGKILL);
    }
  }

  @Override
  public void limit(Limits limits) throws IOException {
    groups.limit(directory.id(), limits);
  }

  @Override
  public void remove() {
    VmmHost.remove(directory, groups);
  }

  private enum Progress {
    SOME,
    NOTHING_YET,
    END
  }

  private void onReadable(EventLoop.Registration registration) {
    if (readSome() == Progress.END) {
      registration.cancel();
      // Without its socket nobody can steer it.
      var _ = time.after(END_WITHIN, this::kill);
    }
  }

  private Progress readSome() {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment buffer = arena.allocate(READ_BYTES);
      int count = socket.fd().read(buffer);
      if (count == 0) {
        return Progress.END;
      }
      frames.append(buffer.asSlice(0, count));
      for (byte[] frame = frames.next(); frame != null; frame = frames.next()) {
        dispatch(VmmMessage.parseFrom(frame));
      }
      return Progress.SOME;
    } catch (LinuxException e) {
      return e.errno() == Errno.EAGAIN ? Progress.NOTHING_YET : Progress.END;
    } catch (FrameReader.BrokenFrameException | InvalidProtocolBufferException e) {
      LOG.log(Level.WARNING, "{0} breaks its protocol: {1}", this, e);
      return Progress.END;
    }
  }

  private void dispatch(VmmMessage message) {
    switch (message.getMessageCase()) {
      case RESPONSE -> {
        outdate(message.getResponse());
        CompletableFuture<VmmResponse> answer = pending.remove(message.getResponse().getId());
        if (answer != null) {
          answer.complete(message.getResponse());
        }
      }
      case EVENT -> {
        VmmStatus status = message.getEvent().getStatus();
        VmmListener told = listenerOr(() -> unheardStatus = status);
        if (told != null) {
          told.onStatus(status);
        }
      }
      case VSOCK_DIAL -> {
        VsockDial dial = message.getVsockDial();
        VmmListener told = listenerOr(() -> unheardDials.add(dial));
        if (told != null) {
          told.onDial(dial);
        }
      }
      case MESSAGE_NOT_SET -> LOG.log(Level.DEBUG, "{0} sent what is not known here", this);
    }
  }

  /** Who asked knows by the answer what an event before it said. */
  private synchronized void outdate(VmmResponse response) {
    if (response.hasStatus()
        && unheardStatus != null
        && !isOlder(response.getStatus(), unheardStatus)) {
      unheardStatus = null;
    }
  }

  /**
   * Whether an answer was made before the event that came first, as a VMM of an earlier build may
   * do. What is never taken back tells.
   */
  private static boolean isOlder(VmmStatus answer, VmmStatus event) {
    boolean ended =
        event.getState() == VmmState.VMM_ENDED && answer.getState() != VmmState.VMM_ENDED;
    return ended || (event.getConsoleReady() && !answer.getConsoleReady());
  }

  private synchronized @Nullable VmmListener listenerOr(Runnable ifNobodyListens) {
    if (listener == null) {
      ifNobodyListens.run();
    }
    return listener;
  }

  private void onProcessExit(EventLoop.Registration registration) {
    registration.cancel();
    // What the process said before it ended comes before its end.
    while (readSome() == Progress.SOME) {}
    socketEvents.cancel();
    ProcessHandleFd.Exit how =
        process.awaitExit(Duration.ZERO).orElseGet(ProcessHandleFd.Exit.Unknown::new);
    VmmExit ended = new VmmExit(how, directory.lastWords(), directory.logTail());
    VmmListener told;
    synchronized (this) {
      exit = ended;
      told = listener;
      socket.close();
      process.close();
    }
    whenEnded.accept(this);
    failPending(ended);
    if (told != null) {
      told.onExit(ended);
    }
  }

  @Override
  public String toString() {
    return "VMM %s (pid %d)".formatted(id(), pid());
  }

  /** Lets go of the process, which goes on. To be called once the event loop has ended. */
  synchronized void detach() {
    if (exit == null) {
      exit = new VmmExit(new ProcessHandleFd.Exit.Unknown(), Optional.empty(), "");
      socket.close();
      process.close();
    }
  }

  private void failPending(VmmExit ended) {
    for (Long id : List.copyOf(pending.keySet())) {
      CompletableFuture<VmmResponse> answer = pending.remove(id);
      if (answer != null) {
        answer.completeExceptionally(new VmmGoneException("its VMM " + ended.describe()));
      }
    }
  }
}
