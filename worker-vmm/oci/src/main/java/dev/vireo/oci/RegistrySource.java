package dev.vireo.oci;

import static dev.vireo.images.ImageException.Reason.DIGEST_MISMATCH;
import static dev.vireo.images.ImageException.Reason.IMAGE_UNKNOWN;
import static dev.vireo.images.ImageException.Reason.MANIFEST_INVALID;
import static dev.vireo.images.ImageException.Reason.REGISTRY_DENIED;
import static dev.vireo.images.ImageException.Reason.REGISTRY_UNAVAILABLE;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.google.cloud.tools.jib.api.DescriptorDigest;
import com.google.cloud.tools.jib.api.InsecureRegistryException;
import com.google.cloud.tools.jib.api.RegistryAuthenticationFailedException;
import com.google.cloud.tools.jib.api.RegistryException;
import com.google.cloud.tools.jib.api.RegistryUnauthorizedException;
import com.google.cloud.tools.jib.event.EventHandlers;
import com.google.cloud.tools.jib.http.ResponseException;
import com.google.cloud.tools.jib.image.json.BuildableManifestTemplate;
import com.google.cloud.tools.jib.image.json.BuildableManifestTemplate.ContentDescriptorTemplate;
import com.google.cloud.tools.jib.image.json.ManifestTemplate;
import com.google.cloud.tools.jib.image.json.OciIndexTemplate;
import com.google.cloud.tools.jib.image.json.UnknownManifestFormatException;
import com.google.cloud.tools.jib.image.json.V22ManifestListTemplate;
import com.google.cloud.tools.jib.registry.ManifestAndDigest;
import com.google.cloud.tools.jib.registry.RegistryClient;
import dev.vireo.images.Architecture;
import dev.vireo.images.ImageException;
import dev.vireo.images.container.ImageId;
import dev.vireo.images.container.ImageName;
import dev.vireo.oci.PullProgress.Phase;
import java.io.ByteArrayOutputStream;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.ProxySelector;
import java.net.Socket;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.DigestException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.CompletionService;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorCompletionService;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.LongConsumer;
import java.util.function.LongSupplier;
import org.jspecify.annotations.Nullable;

/**
 * An image in a registry (OCI distribution specification, "Pull"), by Jib. Plain HTTP is spoken
 * with registries of this machine only.
 */
final class RegistrySource implements ImageSource {
  /** How long a registry may send nothing. */
  static final Duration STALLED = Duration.ofSeconds(30);

  private static final String DOCKER_HUB = "registry-1.docker.io";
  private static final int DOWNLOADS_AT_ONCE = 3;
  private static final int MOST_ATTEMPTS = 3;
  private static final int CONNECT_MILLIS = 10_000;
  private static final int NOT_FOUND = 404;
  private static final int UNAUTHORIZED = 401;
  private static final int FORBIDDEN = 403;

  private final ImageName.InRegistry name;
  private final PatientHttpClient http;
  private final RegistryClient client;
  private final StallWatch watch;
  private final PatientHttpClient.Sleeper sleeper;
  private final Duration stalled;
  private final LongSupplier nanoTime;
  private final String host;

  /** A blob has failed, and what still comes is not wanted. */
  private volatile boolean ending;

  /**
   * @param stalled how long the registry may send nothing
   * @throws IOException if the credentials cannot be read
   */
  RegistrySource(
      ImageName.InRegistry name,
      Credentials credentials,
      Duration stalled,
      LongSupplier nanoTime,
      PatientHttpClient.Sleeper sleeper)
      throws IOException {
    this.name = name;
    this.stalled = stalled;
    this.nanoTime = nanoTime;
    this.sleeper = sleeper;
    watch = new StallWatch(stalled, nanoTime, this::hangUp);
    http = new PatientHttpClient(PatientHttpClient.isLoopback(name.registry()), this::sleep);
    host = name.registry().equals(ImageName.DEFAULT_REGISTRY) ? DOCKER_HUB : name.registry();
    RegistryClient.Factory factory =
        RegistryClient.factory(EventHandlers.NONE, host, name.repository(), http)
            .setUserAgent("vireo");
    credentials.find(host).ifPresent(factory::setCredential);
    client = factory.newRegistryClient();
  }

  /** Of which the registry knows. */
  private void sleep(Duration duration) throws InterruptedException {
    watch.end();
    try {
      sleeper.sleep(duration);
    } finally {
      watch.begin();
    }
  }

  /** Asks the registry for something. */
  @FunctionalInterface
  private interface Request<T> {
    T send() throws IOException, RegistryException;
  }

  private <T> T ask(Request<T> request) throws IOException, RegistryException {
    watch.begin();
    try {
      return request.send();
    } finally {
      watch.end();
    }
  }

  private void hangUp() {
    try {
      http.shutDown();
    } catch (IOException e) {
      // One that is broken already; the rest is shut down with this source.
    }
  }

  @Override
  public SourceImage resolve(Architecture architecture) throws IOException, ImageException {
    requireReachable();
    String reference = name.digest().or(name::tag).orElse(ImageName.DEFAULT_TAG);
    Manifest.Single manifest =
        manifest(reference).follow(architecture, entry -> manifest(entry.digest()));
    ByteArrayOutputStream json = new ByteArrayOutputStream();
    Descriptor descriptor = manifest.config();
    if (descriptor.size() > ImageConfig.MOST_BYTES) {
      throw new ImageException(
          MANIFEST_INVALID,
          "the image's configuration has %d bytes; %d are taken"
              .formatted(descriptor.size(), ImageConfig.MOST_BYTES));
    }
    for (Descriptor layer : manifest.layers()) {
      if (layer.size() > LayerScan.MOST_BYTES) {
        throw new ImageException(
            MANIFEST_INVALID,
            "a layer has %d bytes; %d are taken".formatted(layer.size(), LayerScan.MOST_BYTES));
      }
    }
    download(
        descriptor, "the image's configuration", () -> reset(json), DiskFloor.none(), bytes -> {});
    ImageConfig config = ImageConfig.parse(json.toByteArray(), architecture);
    return new SourceImage(
        config,
        manifest.layers(
            config,
            layer ->
                () -> {
                  throw new IOException("not fetched: " + layer.digest());
                }),
        Optional.of(name));
  }

  /** Before Jib, which would try a minute long; but a proxy has a say of its own. */
  private void requireReachable() throws ImageException {
    URI address = URI.create("https://" + host);
    boolean direct =
        ProxySelector.getDefault().select(address).stream()
            .allMatch(proxy -> proxy.type() == Proxy.Type.DIRECT);
    if (!direct) {
      return;
    }
    int usualPort = PatientHttpClient.isLoopback(host) ? 80 : 443;
    int port = address.getPort() < 0 ? usualPort : address.getPort();
    try (Socket socket = new Socket()) {
      socket.connect(
          new InetSocketAddress(address.getHost(), port),
          Math.toIntExact(Math.min(stalled.toMillis(), CONNECT_MILLIS)));
    } catch (IOException e) {
      throw new ImageException(
          REGISTRY_UNAVAILABLE,
          "the registry %s cannot be reached: %s".formatted(name.registry(), e),
          e);
    }
  }

  private static OutputStream reset(ByteArrayOutputStream stream) {
    stream.reset();
    return stream;
  }

  /** Without credentials first: the refusal says how to log in. */
  private Manifest manifest(String reference) throws IOException, ImageException {
    try {
      ManifestAndDigest<ManifestTemplate> answer;
      try {
        answer = ask(() -> client.pullManifest(reference));
      } catch (RegistryUnauthorizedException e) {
        @Nullable String how = e.getHttpResponseException().getHeaders().getAuthenticate();
        if (how == null) {
          throw e;
        }
        var _ =
            ask(() -> {
              client.authPullByWwwAuthenticate(how);
              return true;
            });
        answer = ask(() -> client.pullManifest(reference));
      }
      if (ImageId.isDigest(reference)) {
        new Descriptor(reference, 0)
            .requireEqual(answer.getDigest().toString(), "the manifest of " + name);
      }
      return manifest(answer.getManifest());
    } catch (RegistryException | IOException | RuntimeException e) {
      throw explained(e);
    }
  }

  private static Manifest manifest(ManifestTemplate template) throws ImageException {
    List<Manifest.Entry> entries = new ArrayList<>();
    switch (template) {
      case BuildableManifestTemplate image -> {
        List<Descriptor> layers = new ArrayList<>();
        for (ContentDescriptorTemplate layer : image.getLayers()) {
          layers.add(descriptor(layer));
        }
        return new Manifest.Single(descriptor(image.getContainerConfiguration()), layers);
      }
      case OciIndexTemplate index -> {
        for (OciIndexTemplate.ManifestDescriptorTemplate entry : index.getManifests()) {
          var platform = Optional.ofNullable(entry.getPlatform());
          entries.add(
              new Manifest.Entry(
                  descriptor(entry),
                  platform.map(one -> one.getOs() + "/" + one.getArchitecture()).orElse(""),
                  List.of()));
        }
      }
      case V22ManifestListTemplate list -> {
        for (V22ManifestListTemplate.ManifestDescriptorTemplate entry : list.getManifests()) {
          var platform = Optional.ofNullable(entry.getPlatform());
          entries.add(
              new Manifest.Entry(
                  // Jib does not tell the size; it takes a manifest by its digest.
                  new Descriptor(String.valueOf(entry.getDigest()), 0),
                  platform.map(one -> one.getOs() + "/" + one.getArchitecture()).orElse(""),
                  List.of()));
        }
      }
      default ->
          throw new ImageException(
              MANIFEST_INVALID,
              "the image is of docker's schema %d, which no longer is in use; push it again"
                  .formatted(template.getSchemaVersion()));
    }
    return new Manifest.Index(entries);
  }

  private static Descriptor descriptor(@Nullable ContentDescriptorTemplate template)
      throws ImageException {
    try {
      if (template != null) {
        return new Descriptor(String.valueOf(template.getDigest()), template.getSize());
      }
    } catch (IllegalArgumentException e) {
      // Told below, as one that is missing.
    }
    throw new ImageException(
        MANIFEST_INVALID, "the manifest has a descriptor without a digest or a size");
  }

  /** Several at once: one connection hardly has all of the way to a registry. */
  @Override
  public SourceImage fetch(
      SourceImage image, Path directory, DiskFloor floor, PullProgress progress)
      throws IOException, ImageException {
    Map<Descriptor, Path> files = new LinkedHashMap<>();
    for (Layer layer : image.layers()) {
      Descriptor blob = layer.descriptor().orElseThrow();
      files.put(blob, directory.resolve(blob.digest().replace(':', '-')));
    }
    progress.begin(Phase.DOWNLOAD, files.keySet().stream().mapToLong(Descriptor::size).sum());
    try (ExecutorService threads = Executors.newFixedThreadPool(DOWNLOADS_AT_ONCE)) {
      CompletionService<Boolean> downloads = new ExecutorCompletionService<>(threads);
      files.forEach((blob, file) -> {
        var _ =
            downloads.submit(() -> {
              download(
                  blob, "layer blob", () -> Files.newOutputStream(file), floor, progress::advance);
              return true;
            });
      });
      await(downloads, files.size(), threads);
    }
    List<Layer> layers = new ArrayList<>();
    for (Layer layer : image.layers()) {
      Path file = files.get(layer.descriptor().orElseThrow());
      layers.add(
          new Layer(
              layer.descriptor(),
              layer.diffId(),
              () -> Files.newInputStream(Objects.requireNonNull(file))));
    }
    return new SourceImage(image.config(), layers, image.name());
  }

  /** The first that fails ends the others. */
  private void await(CompletionService<Boolean> downloads, int count, ExecutorService threads)
      throws IOException, ImageException {
    try {
      for (int i = 0; i < count; i++) {
        var _ = downloads.take().get();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new ImageException(REGISTRY_UNAVAILABLE, "interrupted", e);
    } catch (ExecutionException e) {
      ending = true;
      threads.shutdownNow();
      hangUp();
      switch (e.getCause()) {
        case ImageException known -> throw known;
        case IOException disk -> throw disk;
        case null, default -> throw new IllegalStateException(e);
      }
    }
  }

  /** Opens where a blob is to go, empty. */
  @FunctionalInterface
  private interface Target {
    OutputStream open() throws IOException;
  }

  private void download(
      Descriptor blob, String what, Target target, DiskFloor floor, LongConsumer advance)
      throws IOException, ImageException {
    for (int attempt = 1; ; attempt++) {
      BoundedOutput output = new BoundedOutput(target.open(), blob, what, floor, advance);
      try (output) {
        DescriptorDigest digest = DescriptorDigest.fromDigest(blob.digest());
        var _ = ask(() -> client.pullBlob(digest, size -> {}, size -> {}).writeTo(output));
      } catch (DigestException e) {
        throw new IllegalStateException("was checked: " + blob, e);
      } catch (IOException | RegistryException | RuntimeException e) {
        if (output.failure().isPresent()) {
          throw output.failure().get();
        }
        ImageException explained = explained(e);
        // A connection that broke, but not what would be the same again.
        if (attempt == MOST_ATTEMPTS
            || explained.reason() != REGISTRY_UNAVAILABLE
            || e.getCause() instanceof RegistryException
            || e instanceof ResponseException
            || output.isTooSlow()
            || watch.hasStalled()
            || ending) {
          throw explained;
        }
        advance.accept(-output.count());
        continue;
      }
      if (output.count() < blob.size()) {
        throw blob.mismatch(what, "has %d of its %d bytes".formatted(output.count(), blob.size()));
      }
      return;
    }
  }

  /** Takes what a blob has, and not a byte more. */
  private final class BoundedOutput extends FilterOutputStream {
    private final Descriptor blob;
    private final String what;
    private final DiskFloor floor;
    private final LongConsumer advance;
    private final LeastRate rate = new LeastRate(nanoTime);
    private boolean tooSlow;
    private long count;
    private Optional<IOException> failure = Optional.empty();

    BoundedOutput(
        OutputStream out, Descriptor blob, String what, DiskFloor floor, LongConsumer advance) {
      super(out);
      this.blob = blob;
      this.what = what;
      this.floor = floor;
      this.advance = advance;
    }

    @Override
    public void write(int one) throws IOException {
      write(new byte[] {(byte) one}, 0, 1);
    }

    @Override
    public void write(byte[] bytes, int offset, int length) throws IOException {
      count += length;
      if (count > blob.size()) {
        throw new IOException(
            blob.mismatch(what, "is longer than its %d bytes".formatted(blob.size())));
      }
      if (!rate.come(length)) {
        tooSlow = true;
        // What is closed otherwise is read to its end before.
        hangUp();
        throw new IOException(tooSlow());
      }
      // A disk or a terminal may take its time: the registry is not waited for meanwhile.
      watch.end();
      try {
        keep(bytes, offset, length);
      } finally {
        watch.begin();
      }
      rate.await();
    }

    private void keep(byte[] bytes, int offset, int length) throws IOException {
      try {
        floor.advance(length);
        out.write(bytes, offset, length);
      } catch (ImageException e) {
        throw new IOException(e);
      } catch (IOException e) {
        failure = Optional.of(e);
        throw e;
      }
      advance.accept(length);
    }

    long count() {
      return count;
    }

    boolean isTooSlow() {
      return tooSlow;
    }

    /** Why the bytes could not be put where they are to go. */
    Optional<IOException> failure() {
      return failure;
    }
  }

  private ImageException tooSlow() {
    return new ImageException(
        REGISTRY_UNAVAILABLE,
        "the registry %s is too slow: for a minute a blob came with less than %d bytes per second; try"
                .formatted(name.registry(), LeastRate.BYTES_PER_SECOND)
            + " again later");
  }

  /** What went wrong, in words of ours. */
  private ImageException explained(Exception problem) {
    String registry = name.registry();
    if (watch.hasStalled()) {
      return new ImageException(
          REGISTRY_UNAVAILABLE,
          "the registry %s has stalled: nothing came from it for %d s; try again"
                  .formatted(registry, stalled.toSeconds())
              + " later",
          problem);
    }
    for (Throwable cause = problem; cause != null; cause = cause.getCause()) {
      Optional<ImageException> known = explained(registry, cause);
      if (known.isPresent()) {
        return known.get();
      }
    }
    return new ImageException(
        REGISTRY_UNAVAILABLE,
        "the registry %s cannot be spoken with: %s".formatted(registry, problem.getMessage()),
        problem);
  }

  private Optional<ImageException> explained(String registry, Throwable cause) {
    return switch (cause) {
      case ImageException known -> Optional.of(known);
      case ResponseException answer ->
          Optional.of(explained(registry, answer.getStatusCode(), cause));
      case RegistryUnauthorizedException answer ->
          Optional.of(
              explained(registry, answer.getHttpResponseException().getStatusCode(), cause));
      case RegistryAuthenticationFailedException _ when cause.getCause() == null ->
          Optional.of(explained(registry, UNAUTHORIZED, cause));
      case InsecureRegistryException _ ->
          Optional.of(
              new ImageException(
                  REGISTRY_UNAVAILABLE,
                  "the registry %s does not speak TLS with a certificate that this host trusts; plain"
                          .formatted(registry)
                      + " HTTP is for registries on this machine",
                  cause));
      case UnknownManifestFormatException _, JsonProcessingException _ ->
          Optional.of(
              new ImageException(
                  MANIFEST_INVALID,
                  "the manifest of %s cannot be read: %s".formatted(name, cause.getMessage()),
                  cause));
      default ->
          cause.getClass().getSimpleName().equals("UnexpectedBlobDigestException")
              ? Optional.of(
                  new ImageException(
                      DIGEST_MISMATCH,
                      "a blob of %s is damaged: %s".formatted(name, cause.getMessage()),
                      cause))
              : Optional.empty();
    };
  }

  private ImageException explained(String registry, int status, Throwable cause) {
    return switch (status) {
      case UNAUTHORIZED, FORBIDDEN ->
          new ImageException(
              REGISTRY_DENIED,
              "the registry %s refuses %s: there is no such image, or docker login is needed"
                  .formatted(registry, name),
              cause);
      case NOT_FOUND ->
          new ImageException(
              IMAGE_UNKNOWN, "the registry %s has no %s".formatted(registry, name), cause);
      default ->
          new ImageException(
              REGISTRY_UNAVAILABLE,
              "the registry %s answers with HTTP status %d; try again later"
                  .formatted(registry, status),
              cause);
    };
  }

  @Override
  public void close() throws IOException {
    watch.close();
    http.shutDown();
  }
}
