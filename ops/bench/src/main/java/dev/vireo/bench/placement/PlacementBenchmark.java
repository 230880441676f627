package dev.vireo.bench.placement;

import dev.vireo.scheduler.Cluster;
import dev.vireo.scheduler.Decision;
import dev.vireo.scheduler.Image;
import dev.vireo.scheduler.NodeKind;
import dev.vireo.scheduler.NodeRules;
import dev.vireo.scheduler.Peer;
import dev.vireo.scheduler.PeerRule;
import dev.vireo.scheduler.PeerSelector;
import dev.vireo.scheduler.Profile;
import dev.vireo.scheduler.Request;
import dev.vireo.scheduler.Request.Kernel;
import dev.vireo.scheduler.Resources;
import dev.vireo.scheduler.Scheduler;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;

/**
 * One placement in a cluster that stays as full as it is: a microVM of another size each time is
 * decided for and reserved, and the oldest gives its room back.
 *
 * <p>Nine kinds of nodes: two sizes of x86-64 machines and one of arm64, in three zones.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
public class PlacementBenchmark {
  private static final int REQUESTS = 4096;
  private static final int MEMORY_STEP_MIB = 64;

  /** MicroVMs with the same label; on 10,000 nodes that are half full some 1,700 have it. */
  private static final int APPLICATIONS = 64;

  /** That are asked for. */
  private static final int IMAGES = 100;

  /** What a microVM wants of where the others of its application are. */
  public enum Neighbours {
    /** Nothing. */
    ANYWHERE,
    /** That they are spread over the zones evenly. */
    SPREAD,
    /** That none is on the same node. */
    APART
  }

  /** How many nodes have the container image that a microVM runs. */
  public enum Images {
    /** It runs none. */
    NONE,
    /** One in a hundred has each of the images. */
    RARE,
    /** One in three; what a node has, it keeps. */
    COMMON
  }

  @Param({"1000", "10000"})
  int nodes;

  /** Percent of memory that is promised. */
  @Param({"0", "50", "95"})
  int full;

  @Param({"LEAST_ALLOCATED", "BIN_PACK"})
  Profile profile = Profile.LEAST_ALLOCATED;

  @Param({"ANYWHERE"})
  Neighbours neighbours = Neighbours.ANYWHERE;

  @Param({"NONE"})
  Images images = Images.NONE;

  private final Random random = new Random(1);
  private final Cluster cluster = new Cluster();
  private final List<Request> requests = new ArrayList<>();
  private final ArrayDeque<String> oldestFirst = new ArrayDeque<>();
  private Scheduler scheduler = Scheduler.standard(profile);
  private long next;

  /** Makes the nodes and fills them. */
  @Setup(Level.Trial)
  public void fill() {
    scheduler = Scheduler.standard(profile);
    long capacityMib = 0;
    for (int i = 0; i < nodes; i++) {
      NodeKind kind = kind(i % 3, "zone-" + i / 3 % 3);
      cluster.put("node-%05d".formatted(i), kind);
      cluster.putContainerImages("node-%05d".formatted(i), imagesOfANode());
      capacityMib += kind.capacity().memoryMib();
    }
    for (int i = 0; i < REQUESTS; i++) {
      requests.add(request());
    }
    long promisedMib = 0;
    while (promisedMib < capacityMib / 100 * full) {
      Request request = requests.get((int) (next % REQUESTS));
      if (place(withoutRules(request)) instanceof Decision.Placed) {
        promisedMib += request.demand().memoryMib();
      }
    }
  }

  private Set<String> imagesOfANode() {
    int every =
        switch (images) {
          case NONE -> 0;
          case RARE -> 100;
          case COMMON -> 3;
        };
    Set<String> here = new HashSet<>();
    for (int image = 0; image < IMAGES && every > 0; image++) {
      if (random.nextInt(every) == 0) {
        here.add("image-" + image);
      }
    }
    return here;
  }

  private static NodeKind kind(int size, String zone) {
    boolean arm64 = size == 2;
    int cpus = size == 0 ? 16 : 8;
    String architecture = arm64 ? "arm64" : "x86_64";
    return new NodeKind(
        true,
        false,
        false,
        architecture,
        true,
        64,
        Set.of("acpi", "cmdline", "fdt"),
        Set.of("blk/file", "blk/io-uring", "net/tap", "vsock/unix", "rng/host"),
        List.of(new Image("debian-12", architecture, true, Set.of("acpi", "fdt"))),
        Map.of("zone", zone),
        Set.of(),
        // CPUs are overcommitted, so that memory is what runs out.
        new Resources(cpus * 16_000L, cpus * 4096L));
  }

  /** 1 to 4 vCPUs, 64 MiB to 4 GiB; every fourth wants a zone. */
  private Request request() {
    return new Request(
        Optional.empty(),
        1 + random.nextInt(4),
        (long) MEMORY_STEP_MIB * (1 + random.nextInt(64)),
        new Kernel.FromImage("debian-12"),
        Optional.empty(),
        images == Images.NONE
            ? Optional.empty()
            : Optional.of(new Request.ContainerImage("image-" + random.nextInt(IMAGES), false)),
        Set.of("blk/file", "net/tap"),
        NodeRules.selecting(
            random.nextInt(4) == 0 ? Map.of("zone", "zone-" + random.nextInt(3)) : Map.of()),
        peer(),
        Set.of());
  }

  private Peer peer() {
    Map<String, String> labels = Map.of("app", "app-" + random.nextInt(APPLICATIONS));
    PeerSelector same = new PeerSelector("project", labels);
    return switch (neighbours) {
      case ANYWHERE -> Peer.NONE;
      case SPREAD -> new Peer("project", labels, 0, List.of(new PeerRule.Spread(same, "zone", 1)));
      case APART ->
          new Peer("project", labels, 0, List.of(new PeerRule.Apart(same, PeerRule.NODE)));
    };
  }

  /** Decides, reserves, and lets the oldest go. */
  @Benchmark
  public Decision placeAndRelease() {
    if (!oldestFirst.isEmpty()) {
      cluster.release(oldestFirst.removeFirst());
    }
    return place();
  }

  /** To fill a large cluster by rules takes minutes, and makes it no other for what is measured. */
  private static Request withoutRules(Request request) {
    Peer peer = request.peer();
    return new Request(
        request.architecture(),
        request.vcpus(),
        request.memoryMib(),
        request.kernel(),
        request.announcement(),
        Optional.empty(),
        request.backEnds(),
        request.nodeRules(),
        new Peer(peer.project(), peer.labels(), peer.priority(), List.of()),
        request.avoid());
  }

  private Decision place() {
    return place(requests.get((int) (next % REQUESTS)));
  }

  private Decision place(Request request) {
    String uid = Long.toString(next++);
    Decision decision = scheduler.place(request, cluster);
    if (decision instanceof Decision.Placed placed) {
      cluster.reserve(uid, placed.nodeId(), request.demand(), request.peer());
      oldestFirst.addLast(uid);
    }
    return decision;
  }
}
