package dev.vireo.oci;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.vireo.images.Architecture;
import dev.vireo.images.ImageException;
import dev.vireo.images.ImageException.Reason;
import dev.vireo.images.container.ContainerImage;
import dev.vireo.images.container.ContainerImageCache;
import dev.vireo.images.container.ImageName;
import dev.vireo.oci.FakeRegistry.Login;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Semaphore;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.LongConsumer;
import java.util.function.LongSupplier;
import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Images from a registry, good and bad; after a pull that failed nothing is left. */
class RegistrySourceTest {
  @TempDir private Path directory = Path.of("");

  private final TestImage image =
      TestImage.of(new Tar().file("a", "one".repeat(100_000)), new Tar().file("b", "two"));
  private final List<Duration> waits = Collections.synchronizedList(new ArrayList<>());

  /** Long enough for a busy machine, where nothing stalls. */
  private Duration stalled = Duration.ofSeconds(60);

  @ParameterizedTest
  @EnumSource(Login.class)
  void anImageIsPulledWithWhateverLoginThereIs(Login login) throws Exception {
    try (FakeRegistry registry = new FakeRegistry(login)) {
      registry.put("latest", image.manifest(), image.blobs());
      logIn(registry);

      Squashed root = new Squashed(pull(registry, "").root());

      assertEquals("two", root.text("b"));
      assertTrue(registry.requests().contains("/v2/a/b/manifests/latest"));
    }
  }

  @Test
  void whatIsThereIsNotPulledAgain() throws Exception {
    try (FakeRegistry registry = new FakeRegistry(Login.NONE)) {
      registry.put("latest", image.manifest(), image.blobs());
      pull(registry, "");
      int before = registry.requests().size();

      pull(registry, "");

      List<String> again = registry.requests().subList(before, registry.requests().size());
      assertTrue(
          again.stream().noneMatch(path -> path.contains(TestImage.digest(image.layer(0)))),
          again::toString);
    }
  }

  @Test
  void blobsMayBeElsewhere() throws Exception {
    try (FakeRegistry registry = new FakeRegistry(Login.TOKEN)) {
      registry.put("latest", image.manifest(), image.blobs());
      registry.redirectBlobs();

      assertEquals("two", new Squashed(pull(registry, ":latest").root()).text("b"));
    }
  }

  @ParameterizedTest
  @CsvSource({
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json"
  })
  void ofAnIndexTheArchitecturesImageIsTaken(String type) throws Exception {
    TestImage arm =
        TestImage.of(TestImage.config("arm64", Map.of()), Tar::gzip, new Tar().file("arm", ""));
    try (FakeRegistry registry = new FakeRegistry(Login.TOKEN)) {
      registry.put("x", index(type, arm, image), image.blobs());
      registry.put("y", index(type, arm, arm), arm.blobs());

      assertEquals(image.id(), pull(registry, ":x").id().toString());
    }
  }

  @Test
  void anArchitectureThatThereIsNotIsMissed() throws Exception {
    try (FakeRegistry registry = new FakeRegistry(Login.NONE)) {
      registry.put(
          "latest",
          Json.write(
                  Map.of(
                      "schemaVersion",
                      2,
                      "manifests",
                      List.of(entry(image, "arm64"), entry(image, "s390x"))))
              .getBytes(UTF_8),
          image.blobs());

      assertRefused(
          registry,
          "",
          Reason.ARCHITECTURE_MISSING,
          "there is no image for linux/amd64; there are images for linux/arm64, linux/s390x");
    }
  }

  @Test
  void aDigestInTheNameIsVerified() throws Exception {
    String digest = TestImage.digest(image.manifest());
    try (FakeRegistry registry = new FakeRegistry(Login.NONE)) {
      registry.put("x", image.manifest(), image.blobs());
      assertEquals(image.id(), pull(registry, "@" + digest).id().toString());

      TestImage other = TestImage.of(new Tar());
      registry.put(digest, other.manifest(), other.blobs());
      assertRefused(
          registry,
          "@" + digest,
          Reason.DIGEST_MISMATCH,
          "the manifest of REGISTRY/a/b@DIGEST should be DIGEST, but has the digest DIGEST: it was"
              + " damaged on its way; pull again, or ask who made it");
    }
  }

  @Test
  void aBusyRegistryIsAskedAgainWhenItSays() throws Exception {
    try (FakeRegistry registry = new FakeRegistry(Login.NONE)) {
      registry.put("latest", image.manifest(), image.blobs());
      registry.beBusy(2, "7");

      pull(registry, "");

      assertEquals(List.of(Duration.ofSeconds(7), Duration.ofSeconds(7)), waits);
    }
  }

  @ParameterizedTest
  @CsvSource({"1000, 1", "100, 3600"})
  void aRegistryThatStaysBusyIsGivenUp(int times, String seconds) throws Exception {
    try (FakeRegistry registry = new FakeRegistry(Login.NONE)) {
      registry.put("latest", image.manifest(), image.blobs());
      registry.beBusy(times, seconds);

      assertRefused(
          registry,
          "",
          Reason.REGISTRY_UNAVAILABLE,
          "the registry REGISTRY answers with HTTP status 429; try again later");
    }
  }

  @Test
  void aConnectionThatBreaksIsMadeAgain() throws Exception {
    try (FakeRegistry registry = new FakeRegistry(Login.NONE)) {
      registry.put("latest", image.manifest(), image.blobs());
      registry.breakBlobs(2);

      assertEquals(image.id(), pull(registry, "").id().toString());
    }
  }

  @Test
  void aBlobThatAlwaysEndsTooEarlyIsGivenUp() throws Exception {
    try (FakeRegistry registry = new FakeRegistry(Login.NONE)) {
      registry.put("latest", image.manifest(), image.blobs());
      registry.cutBlobs(10, false);

      assertEquals(Reason.REGISTRY_UNAVAILABLE, refusal(registry, "").reason());
    }
  }

  @ParameterizedTest
  @CsvSource({"true", "false"})
  void aRegistryThatStallsIsGivenUp(boolean atManifest) throws Exception {
    stalled = Duration.ofSeconds(1);
    try (FakeRegistry registry = new FakeRegistry(Login.NONE)) {
      registry.put("latest", image.manifest(), image.blobs());
      if (atManifest) {
        registry.stallManifests();
      }
      registry.cutBlobs(10, true);

      assertRefused(
          registry,
          "",
          Reason.REGISTRY_UNAVAILABLE,
          "the registry REGISTRY has stalled: nothing came from it for 1 s; try" + " again later");
    }
  }

  @Test
  void whatIsWaitedForOnThisSideIsNoStall() throws Exception {
    stalled = Duration.ofSeconds(1);
    TestClock clock = new TestClock();
    try (FakeRegistry registry = new FakeRegistry(Login.NONE)) {
      registry.put("latest", image.manifest(), image.blobs());
      registry.beBusy(1, "3");

      try (RegistrySource source = source(registry, "", clock::nanoTime, clock::pass)) {
        SourceImage found = source.resolve(Architecture.X86_64);
        clock.pass(stalled.multipliedBy(2));
        registry.breakBlobs(1);
        assertEquals(image.id(), pull(source, found).id().toString());
      }
    }
  }

  @Test
  void aTerminalThatIsHeldIsNoStall() throws Exception {
    stalled = Duration.ofSeconds(1);
    TestImage large =
        TestImage.of(UnaryOperator.identity(), new Tar().file("f", "x".repeat(20 << 20)));
    TestClock clock = new TestClock();
    AtomicBoolean held = new AtomicBoolean();
    PullProgress terminal =
        advanced(bytes -> {
          if (!held.getAndSet(true)) {
            clock.pass(Duration.ofMinutes(1));
          }
        });
    try (FakeRegistry registry = new FakeRegistry(Login.NONE);
        RegistrySource source = source(registry, "", clock::nanoTime, waits::add)) {
      registry.put("latest", large.manifest(), large.blobs());
      SourceImage found = source.resolve(Architecture.X86_64);

      try (ContainerImageCache.Use use = new Pull(cache(), terminal).run(source, found)) {
        assertEquals(large.id(), use.image().id().toString());
      }
      assertTrue(held.get());
    }
  }

  @Test
  void aRegistryThatTricklesIsGivenUp() throws Exception {
    TestImage one = TestImage.of(new Tar().file("a", "content"));
    AtomicLong now = new AtomicLong();
    Semaphore next = new Semaphore(1);
    try (FakeRegistry registry = new FakeRegistry(Login.NONE);
        RegistrySource source = source(registry, "", now::get, waits::add)) {
      registry.put("latest", one.manifest(), one.blobs());
      SourceImage found = source.resolve(Architecture.X86_64);
      registry.trickleBlobs(() -> {
        next.acquire();
        now.addAndGet(Duration.ofSeconds(15).toNanos());
      });

      ImageException refusal =
          assertThrows(
              ImageException.class,
              () -> new Pull(cache(), advanced(bytes -> next.release())).run(source, found));

      assertEquals(
          "the registry %s is too slow: for a minute a blob came with less than 4096 bytes per second; try again later"
              .formatted(registry.address()),
          refusal.getMessage());
      assertEquals(Reason.REGISTRY_UNAVAILABLE, refusal.reason());
      String blob = "/v2/a/b/blobs/" + TestImage.digest(one.layer(0));
      assertEquals(1, registry.requests().stream().filter(blob::equals).count());
    }
  }

  @Test
  void theFirstBlobThatFailsEndsTheOthers() throws Exception {
    stalled = Duration.ofSeconds(10);
    image.spoil(1, content -> new byte[content.length]);
    try (FakeRegistry registry = new FakeRegistry(Login.NONE)) {
      registry.put("latest", image.manifest(), image.blobs());
      registry.stallBlob(TestImage.digest(image.layer(0)));

      assertEquals(Reason.DIGEST_MISMATCH, refusal(registry, "").reason());

      String other = "/v2/a/b/blobs/" + TestImage.digest(image.layer(0));
      assertTrue(registry.requests().stream().filter(other::equals).count() <= 1);
    }
  }

  @Test
  void aLayerThatIsLargerThanLayersAreIsNotAskedFor() throws Exception {
    Map<String, Object> config = TestImage.descriptor(image.configuration(), "x");
    Map<String, Object> layer = TestImage.descriptor(image.layer(0), "x");
    layer.put("size", (64L << 30) + 1);
    try (FakeRegistry registry = new FakeRegistry(Login.NONE)) {
      registry.put(
          "latest",
          Json.write(
                  Map.of(
                      "schemaVersion",
                      2,
                      "mediaType",
                      TestImage.MANIFEST_TYPE,
                      "config",
                      config,
                      "layers",
                      List.of(layer, layer)))
              .getBytes(UTF_8),
          image.blobs());

      assertRefused(
          registry,
          "",
          Reason.MANIFEST_INVALID,
          "a layer has 68719476737 bytes; 68719476736 are taken");
    }
  }

  @Test
  void aDownloadLeavesTheDiskWithRoom() throws Exception {
    TestImage large =
        TestImage.of(UnaryOperator.identity(), new Tar().file("f", "x".repeat(9 << 20)));
    List<Long> free = new ArrayList<>(List.of(1L << 30, 100L << 20));
    try (FakeRegistry registry = new FakeRegistry(Login.NONE)) {
      registry.put("latest", large.manifest(), large.blobs());
      ContainerImageCache cache =
          new ContainerImageCache(
              directory.resolve("cache"),
              () -> free.size() > 1 ? free.removeFirst() : free.getFirst(),
              InstantSource.system());
      List<PullProgress.Phase> phases = new ArrayList<>();
      PullProgress progress =
          new PullProgress() {
            @Override
            public void begin(Phase phase, long totalBytes) {
              phases.add(phase);
            }

            @Override
            public void advance(long bytes) {}
          };

      try (RegistrySource source = source(registry, "", waits::add)) {
        SourceImage found = source.resolve(Architecture.X86_64);
        ImageException refusal =
            assertThrows(ImageException.class, () -> new Pull(cache, progress).run(source, found));
        assertEquals(Reason.DISK_FULL, refusal.reason());
        assertEquals(List.of(PullProgress.Phase.DOWNLOAD), phases);
      }
      assertEquals(List.of(""), images());
    }
  }

  @Test
  void aBlobOfAnotherDigestIsRefused() throws Exception {
    image.spoil(0, content -> new byte[content.length]);
    try (FakeRegistry registry = new FakeRegistry(Login.NONE)) {
      registry.put("latest", image.manifest(), image.blobs());

      assertEquals(Reason.DIGEST_MISMATCH, refusal(registry, "").reason());
    }
  }

  @Test
  void aBlobOfAnotherSizeIsRefused() throws Exception {
    image.spoil(0, content -> new byte[content.length * 2]);
    try (FakeRegistry registry = new FakeRegistry(Login.NONE)) {
      registry.put("latest", image.manifest(), image.blobs());

      assertEquals(Reason.DIGEST_MISMATCH, refusal(registry, "").reason());
    }
  }

  @Test
  void whatTheRegistryHasNotIsUnknown() throws Exception {
    try (FakeRegistry registry = new FakeRegistry(Login.TOKEN)) {
      assertRefused(
          registry, ":x", Reason.IMAGE_UNKNOWN, "the registry REGISTRY has no REGISTRY/a/b:x");
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = Login.class,
      names = {"BASIC", "TOKEN_FOR_USER"})
  void whoIsNotLoggedInIsToldSo(Login login) throws Exception {
    try (FakeRegistry registry = new FakeRegistry(login)) {
      registry.put("x", image.manifest(), image.blobs());

      assertRefused(
          registry,
          ":x",
          Reason.REGISTRY_DENIED,
          "the registry REGISTRY refuses REGISTRY/a/b:x: there is no such image, or docker login is"
              + " needed");
    }
  }

  @ParameterizedTest
  @CsvSource({"https", "http"})
  void credentialsGoToNoOtherHostInTheClear(String scheme) throws Exception {
    // What is no TLS server says nothing to who wants TLS.
    stalled = Duration.ofSeconds(2);
    try (FakeRegistry registry = new FakeRegistry(Login.TOKEN_FOR_USER)) {
      registry.put("x", image.manifest(), image.blobs());
      registry.tokensFrom("%s://%s/token".formatted(scheme, registry.addressAsAnotherHost()));
      logIn(registry);

      assertEquals(Reason.REGISTRY_UNAVAILABLE, refusal(registry, ":x").reason());

      assertFalse(registry.requests().contains("/token"), () -> registry.requests().toString());
    }
  }

  @Test
  void whatIsNoManifestIsRefused() throws Exception {
    try (FakeRegistry registry = new FakeRegistry(Login.NONE)) {
      registry.put("html", "<html>".getBytes(UTF_8), Map.of());
      registry.put("old", "{\"schemaVersion\": 1}".getBytes(UTF_8), Map.of());
      registry.put("empty", "{\"schemaVersion\": 2, \"config\": {}}".getBytes(UTF_8), Map.of());

      for (String tag : List.of("html", "old", "empty")) {
        assertEquals(Reason.MANIFEST_INVALID, refusal(registry, ":" + tag).reason(), tag);
      }
    }
  }

  @Test
  void aRegistryThatIsNotThereIsUnavailable() throws Exception {
    FakeRegistry registry = new FakeRegistry(Login.NONE);
    registry.close();

    assertRefused(
        registry,
        "",
        Reason.REGISTRY_UNAVAILABLE,
        "the registry REGISTRY cannot be reached: java.net.ConnectException: Connection refused");
  }

  private static Map<String, Object> entry(TestImage image, String architecture) {
    Map<String, Object> entry = TestImage.descriptor(image.manifest(), TestImage.MANIFEST_TYPE);
    entry.put("platform", Map.of("os", "linux", "architecture", architecture));
    return entry;
  }

  private static byte[] index(String type, TestImage arm, TestImage amd) {
    return Json.write(
            Map.of(
                "schemaVersion",
                2,
                "mediaType",
                type,
                "manifests",
                List.of(entry(arm, "arm64"), entry(amd, "amd64"))))
        .getBytes(UTF_8);
  }

  private void logIn(FakeRegistry registry) throws Exception {
    Files.writeString(
        directory.resolve("config.json"),
        Json.write(
            Map.of(
                "auths",
                Map.of(
                    registry.address(),
                    Map.of("auth", FakeRegistry.USER.substring("Basic ".length()))))));
  }

  private void assertRefused(FakeRegistry registry, String rest, Reason reason, String message)
      throws Exception {
    ImageException refusal = refusal(registry, rest);
    assertEquals(
        message,
        String.valueOf(refusal.getMessage())
            .replace(registry.address(), "REGISTRY")
            .replaceAll("sha256:[0-9a-f]{64}", "DIGEST"));
    assertEquals(reason, refusal.reason());
  }

  private ImageException refusal(FakeRegistry registry, String rest) throws Exception {
    List<String> before = images();
    ImageException refusal = assertThrows(ImageException.class, () -> pull(registry, rest));
    assertEquals(before, images());
    return refusal;
  }

  private List<String> images() throws Exception {
    Path cache = Files.createDirectories(directory.resolve("cache"));
    try (Stream<Path> files = Files.walk(cache)) {
      return files
          .map(file -> cache.relativize(file).toString())
          .filter(name -> !name.equals(".lock"))
          .sorted()
          .toList();
    }
  }

  private ContainerImage pull(FakeRegistry registry, String rest) throws Exception {
    try (RegistrySource source = source(registry, rest, waits::add)) {
      return pull(source, source.resolve(Architecture.X86_64));
    }
  }

  private ContainerImage pull(ImageSource source, SourceImage found) throws Exception {
    try (ContainerImageCache.Use use = new Pull(cache(), PullProgress.NONE).run(source, found)) {
      return use.image();
    }
  }

  private ContainerImageCache cache() {
    return ContainerImageCache.of(directory.resolve("cache"));
  }

  /** Passes when a test says so. */
  private static final class TestClock {
    private long now;
    private long looks;

    synchronized long nanoTime() {
      looks++;
      notifyAll();
      return now;
    }

    /** Returns when the stall watch, which looks again and again, has seen it and done its part. */
    synchronized void pass(Duration duration) {
      now += duration.toNanos();
      long second = looks + 2;
      try {
        while (looks < second) {
          wait();
        }
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
      }
    }
  }

  private static PullProgress advanced(LongConsumer advance) {
    return new PullProgress() {
      @Override
      public void begin(Phase phase, long totalBytes) {}

      @Override
      public void advance(long bytes) {
        advance.accept(bytes);
      }
    };
  }

  private RegistrySource source(
      FakeRegistry registry, String rest, PatientHttpClient.Sleeper sleeper) throws Exception {
    return source(registry, rest, System::nanoTime, sleeper);
  }

  private RegistrySource source(
      FakeRegistry registry, String rest, LongSupplier nanoTime, PatientHttpClient.Sleeper sleeper)
      throws Exception {
    if (!(ImageName.parse(registry.address() + "/a/b" + rest)
        instanceof ImageName.InRegistry name)) {
      throw new IllegalArgumentException(rest);
    }
    Credentials credentials = new Credentials(List.of(directory.resolve("config.json")));
    return new RegistrySource(name, credentials, stalled, nanoTime, sleeper);
  }
}
