package dev.vireo.systemtests;

import static com.tngtech.archunit.base.DescribedPredicate.not;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static java.util.stream.Collectors.toSet;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.jar.JarFile;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Which room may use which others, and which layer of a VMM which below it. */
class ArchitectureTest {
  private static final Path ROOT = Path.of(System.getProperty("vireo.root"));

  private static final List<String> MODULES =
      List.of(
          "proto",
          "device-catalog",
          "scheduler",
          "controller",
          "worker-vmm/linux",
          "worker-vmm/vmm",
          "worker-vmm/fuzz",
          "worker-vmm/stress",
          "worker-vmm/images",
          "worker-vmm/oci",
          "worker-vmm/worker",
          "ops/cli",
          "ops/emulated-node",
          "ops/bench",
          "ops/sim");

  /** Each room's package, and what of ours it may use besides itself. */
  private static final Map<String, List<String>> ROOMS =
      Map.ofEntries(
          Map.entry("proto", List.of()),
          Map.entry("catalog", List.of()),
          Map.entry("scheduler", List.of()),
          Map.entry("controller", List.of("proto", "catalog", "scheduler")),
          Map.entry("linux", List.of()),
          Map.entry("vmm", List.of("linux", "catalog", "proto.vmm", "proto.errors")),
          Map.entry("fuzz", List.of("linux", "vmm", "catalog")),
          Map.entry("stress", List.of("linux", "vmm")),
          Map.entry("images", List.of()),
          Map.entry("oci", List.of("images")),
          Map.entry("worker", List.of("linux", "images", "catalog", "proto")),
          Map.entry("cli", List.of("proto")),
          Map.entry("emulated", List.of("proto", "images")),
          // The stores alone are measured too.
          Map.entry("bench", List.of("proto", "scheduler", "controller.store", "controller.time")),
          // Both daemons whole: it stands in for the world around them.
          Map.entry(
              "sim", List.of("proto", "scheduler", "controller", "worker", "images", "linux")));

  /** A VMM's layers, and the layers each may use. What is absent is forbidden. */
  private static final Map<String, List<String>> VMM_LAYERS =
      Map.ofEntries(
          Map.entry("memory", List.of()),
          Map.entry("kvm", List.of("memory")),
          Map.entry("boot", List.of("memory", "kvm")),
          Map.entry("backend", List.of("memory")),
          Map.entry("trace", List.of()),
          Map.entry("virtio.queue", List.of("memory", "trace")),
          Map.entry("virtio", List.of("memory", "virtio.queue")),
          Map.entry("virtio.balloon", List.of("memory", "virtio", "virtio.queue")),
          Map.entry("virtio.block", List.of("memory", "virtio", "virtio.queue", "backend")),
          Map.entry("virtio.net", List.of("memory", "virtio", "virtio.queue", "backend")),
          Map.entry("virtio.rng", List.of("memory", "virtio", "virtio.queue", "backend")),
          Map.entry("virtio.input", List.of("memory", "virtio", "virtio.queue")),
          Map.entry("virtio.vsock", List.of("memory", "virtio", "virtio.queue")),
          Map.entry("virtio.console", List.of("memory", "virtio", "virtio.queue", "backend")),
          Map.entry("virtio.memory", List.of("memory", "virtio", "virtio.queue")),
          Map.entry("virtio.mmio", List.of("memory", "trace", "virtio", "virtio.queue")),
          Map.entry(
              "machine",
              List.of(
                  "memory",
                  "trace",
                  "kvm",
                  "boot",
                  "backend",
                  "virtio",
                  "virtio.queue",
                  "virtio.block",
                  "virtio.input",
                  "virtio.mmio")));

  private static final String[] RPC_AND_FRAMEWORKS = {
    "io.grpc..", "io.netty..", "io.quarkus..", "io.opentelemetry.."
  };

  /**
   * Those of stress that stand in a package of the VMM, for what only that may see: they are none
   * of its layers, and use both rooms.
   */
  private static final Pattern GUESTS_OF_A_PACKAGE =
      Pattern.compile(".*/worker-vmm/stress/target/classes/dev/vireo/vmm/.*");

  private static JavaClasses classes;

  @BeforeAll
  static void importClasses() {
    List<Path> directories = new ArrayList<>();
    for (String module : MODULES) {
      Path compiled = ROOT.resolve(module).resolve("target/classes");
      assertTrue(Files.isDirectory(compiled), compiled + " is missing: build " + module + " first");
      directories.add(compiled);
    }
    classes =
        new ClassFileImporter()
            .withImportOption(location -> !location.matches(GUESTS_OF_A_PACKAGE))
            .importPaths(directories);
  }

  static Stream<Arguments> rooms() {
    return ROOMS.entrySet().stream().map(room -> Arguments.of(room.getKey(), room.getValue()));
  }

  @ParameterizedTest(name = "{0} uses only {1}")
  @MethodSource("rooms")
  void aRoomUsesOnlyTheRoomsBelowIt(String room, List<String> allowed) {
    noClasses()
        .that()
        .resideInAPackage("dev.vireo." + room + "..")
        .should()
        .dependOnClassesThat(
            resideInAPackage("dev.vireo..").and(not(resideInAnyPackage(packages(room, allowed)))))
        .check(classes);
  }

  private static String[] packages(String room, List<String> allowed) {
    return Stream.concat(Stream.of(room), allowed.stream())
        .map(name -> "dev.vireo." + name + "..")
        .toArray(String[]::new);
  }

  static Stream<Arguments> layers() {
    return VMM_LAYERS.entrySet().stream()
        .map(layer -> Arguments.of(layer.getKey(), layer.getValue()));
  }

  @ParameterizedTest(name = "vmm.{0} uses only {1}")
  @MethodSource("layers")
  void aLayerOfTheVmmUsesOnlyTheLayersBelowIt(String layer, List<String> allowed) {
    String[] permitted =
        Stream.concat(Stream.of(layer), allowed.stream())
            .map(name -> "dev.vireo.vmm." + name)
            .toArray(String[]::new);
    noClasses()
        .that()
        .resideInAPackage("dev.vireo.vmm." + layer)
        .should()
        .dependOnClassesThat(
            resideInAPackage("dev.vireo.vmm..").and(not(resideInAnyPackage(permitted))))
        .check(classes);
  }

  /** Those at the top use them all: what a VMM is told, and where it begins. */
  @Test
  void everyPackageOfTheVmmIsALayer() {
    Set<String> layers =
        classes.stream()
            .map(JavaClass::getPackageName)
            .filter(name -> name.startsWith("dev.vireo.vmm."))
            .map(name -> name.substring("dev.vireo.vmm.".length()))
            .collect(toSet());
    layers.remove("control");
    assertEquals(VMM_LAYERS.keySet(), layers);
  }

  @Test
  void onlyTheLinuxRoomCallsNativeCode() {
    noClasses()
        .that()
        .resideOutsideOfPackage("dev.vireo.linux..")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage("jnr..", "com.kenai.jffi..", "sun.misc..")
        .check(classes);
  }

  /** So that nothing of it is loaded while tracing is off. */
  @Test
  void onlyThePackagesOfTracingKnowOpenTelemetry() {
    noClasses()
        .that()
        .resideOutsideOfPackages("dev.vireo.controller.tracing..", "dev.vireo.worker.tracing..")
        .should()
        .dependOnClassesThat()
        .resideInAPackage("io.opentelemetry..")
        .check(classes);
  }

  @Test
  void theVmmKnowsNoRpcStackAndNoFramework() {
    noClasses()
        .that()
        .resideInAnyPackage("dev.vireo.vmm..", "dev.vireo.linux..", "dev.vireo.catalog..")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage(RPC_AND_FRAMEWORKS)
        .check(classes);
  }

  @Test
  void theVmmsClassPathHoldsNoRpcStackAndNoFramework() throws IOException {
    Path lib = ROOT.resolve("worker-vmm/vmm/target/vmm/lib");
    assertTrue(Files.isDirectory(lib), lib + " is missing: package worker-vmm/vmm first");
    List<String> foreign = new ArrayList<>();
    try (Stream<Path> jars = Files.list(lib)) {
      for (Path jar : jars.filter(path -> path.toString().endsWith(".jar")).toList()) {
        try (JarFile entries = new JarFile(jar.toFile())) {
          entries.stream()
              .map(entry -> entry.getName())
              .filter(
                  name -> name.matches("io/(grpc|netty|quarkus|vertx|opentelemetry)/.*\\.class"))
              .forEach(foreign::add);
        }
      }
    }
    assertTrue(foreign.isEmpty(), () -> "on the VMM's class path: " + foreign);
  }

  @Test
  void theSchedulerAndTheCatalogueArePure() {
    noClasses()
        .that()
        .resideInAnyPackage("dev.vireo.scheduler..", "dev.vireo.catalog..")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage(
            "java.nio.file..", "java.nio.channels..", "java.net..", "java.util.concurrent..")
        .orShould()
        .callMethod(System.class, "currentTimeMillis")
        .orShould()
        .callMethod(System.class, "nanoTime")
        .orShould()
        .callMethod(Instant.class, "now")
        .orShould()
        .callMethod(Clock.class, "systemUTC")
        .check(classes);
  }
}
