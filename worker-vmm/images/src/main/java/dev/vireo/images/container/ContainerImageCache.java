package dev.vireo.images.container;

import static dev.vireo.images.ImageException.Reason.IMAGE_IN_USE;
import static dev.vireo.images.ImageException.Reason.IMAGE_UNKNOWN;
import static java.nio.charset.StandardCharsets.UTF_8;

import dev.vireo.images.Architecture;
import dev.vireo.images.FileTrees;
import dev.vireo.images.Fingerprint;
import dev.vireo.images.ImageException;
import dev.vireo.images.VireoCache;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * A node's cache of container images, each made once and shared by all microVMs of it:
 *
 * <pre>
 *   sha256-…/root.squashfs     the root file system; the directory's time is that of the last use
 *   sha256-…/image.properties  what the image says of how to start it
 *   names/…                    a name, and the image that it is for
 *   .sha256-….building         an image that is being made, or that a killed pull has left
 *   .lock                      {@link ImageLocks}
 * </pre>
 *
 * An image appears and goes whole, by rename.
 */
public final class ContainerImageCache {
  private static final Pattern DIRECTORY = Pattern.compile("sha256-([0-9a-f]{64})");
  private static final Pattern UNFINISHED =
      Pattern.compile("\\.sha256-([0-9a-f]{64})\\.(building|removed)");

  /** Writing a name takes no hour. */
  private static final Duration LONG_AGO = Duration.ofHours(1);

  /** How often an image is made that is gone again at once. */
  private static final int MOST_ROUNDS = 10;

  /** How much the file system of the cache has left. */
  @FunctionalInterface
  public interface FreeSpace {
    /** In bytes. */
    long bytes() throws IOException;
  }

  /** Makes an image. */
  @FunctionalInterface
  public interface Maker {
    /**
     * Writes {@link ContainerImage#ROOT_FILE} into an empty directory, which later gets another
     * name; whatever else it leaves there stays.
     */
    ContainerImage.Settings makeIn(Path directory) throws IOException, ImageException;
  }

  /** A name that an image has in this cache. */
  public record Named(ImageName name, ImageId image) {}

  /** What {@link #list} tells of an image. */
  public record Listed(
      ContainerImage image, List<ImageName> names, Instant lastUse, boolean inUse) {
    public Listed {
      names = List.copyOf(names);
    }
  }

  /** What {@link #held} tells of an image. */
  public record Held(ImageId id, List<ImageName> names, long rootBytes, Instant lastUse) {
    public Held {
      names = List.copyOf(names);
    }
  }

  /**
   * What {@link #prune} has done.
   *
   * @param freeBytes of the file system, now
   */
  public record Pruned(List<ContainerImage> removed, long freeBytes) {
    public Pruned {
      removed = List.copyOf(removed);
    }
  }

  /** An image that stays until this is closed, or this process ends. */
  public static final class Use implements AutoCloseable {
    private final ContainerImage image;
    private final ImageLocks.Lease lease;

    private Use(ContainerImage image, ImageLocks.Lease lease) {
      this.image = image;
      this.lease = lease;
    }

    /** Which. */
    public ContainerImage image() {
      return image;
    }

    @Override
    public void close() throws IOException {
      lease.close();
    }
  }

  private final Path directory;
  private final FreeSpace freeSpace;
  private final InstantSource clock;

  /** When those were written that {@link #held} has read. */
  private final Map<ImageId, FileTime> readable = new ConcurrentHashMap<>();

  /**
   * A cache in a directory, which is made when something is put there.
   *
   * @param clock for the times of last use
   */
  public ContainerImageCache(Path directory, FreeSpace freeSpace, InstantSource clock) {
    this.directory = directory.toAbsolutePath().normalize();
    this.freeSpace = freeSpace;
    this.clock = clock;
  }

  /**
   * The environment's cache of images for an architecture: {@code images-oci} in {@link
   * VireoCache}; for one that is not the host's, {@code images-oci-ARCH}.
   */
  public static ContainerImageCache ofEnvironment(Architecture architecture) {
    String name =
        architecture == Architecture.ofHost() ? "images-oci" : "images-oci-" + architecture.label();
    return of(VireoCache.ofEnvironment().resolve(name));
  }

  /** The cache in a directory, with the system's clock and the free space of its file system. */
  public static ContainerImageCache of(Path directory) {
    return new ContainerImageCache(
        directory, () -> Files.getFileStore(directory).getUsableSpace(), InstantSource.system());
  }

  /** The image of this name, if it is here. */
  public Optional<ContainerImage> find(ImageName name) throws IOException, ImageException {
    Optional<Named> named = read(nameFile(name));
    return named.isEmpty() ? Optional.empty() : find(named.get().image());
  }

  /** This image, if it is here. */
  public Optional<ContainerImage> find(ImageId id) throws ImageException {
    return Files.isDirectory(path(id))
        ? Optional.of(ContainerImage.read(id, path(id)))
        : Optional.empty();
  }

  /**
   * Keeps an image from being removed by {@link #remove} and {@link #prune} of any process.
   *
   * @throws ImageException IMAGE_UNKNOWN if it is not here
   */
  public Use use(ImageId id) throws IOException, ImageException {
    if (!Files.isDirectory(path(id))) {
      throw unknown(id.toString());
    }
    ImageLocks.Lease lease;
    try {
      lease = locks().share(id);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new ImageException(IMAGE_IN_USE, "interrupted while %s was removed".formatted(id), e);
    }
    try {
      ContainerImage image = find(id).orElseThrow(() -> unknown(id.toString()));
      Files.setLastModifiedTime(path(id), FileTime.from(clock.instant()));
      return new Use(image, lease);
    } catch (IOException | ImageException e) {
      lease.close();
      throw e;
    }
  }

  /**
   * The same of the image that has this root, in whichever cache.
   *
   * @throws ImageException IMAGE_UNKNOWN if there is no image there
   */
  public static Use useOfRoot(Path root) throws IOException, ImageException {
    Path image = root.toAbsolutePath().getParent();
    Path cache = image == null ? null : image.getParent();
    Matcher matcher = DIRECTORY.matcher(image == null ? "" : image.getFileName().toString());
    if (cache == null || !matcher.matches()) {
      throw unknown(root.toString());
    }
    return of(cache).use(new ImageId(matcher.group(1)));
  }

  /**
   * The image: as it is here, otherwise made now; so is one that is broken, unless a microVM has
   * its root. Of several processes that want it at once, one makes it and the others wait.
   */
  public ContainerImage obtain(ImageId id, Maker maker) throws IOException, ImageException {
    makeUnlessHere(id, maker);
    return find(id).orElseThrow(() -> unknown(id.toString()));
  }

  private void makeUnlessHere(ImageId id, Maker maker) throws IOException, ImageException {
    Files.createDirectories(directory);
    if (isToBeMade(id)) {
      try (ImageLocks.@Nullable Lease alone = aloneToMake(id)) {
        if (alone != null && isToBeMade(id)) {
          make(id, maker);
        }
      } catch (InterruptedException e) {
        Thread.currentThread().interrupt();
        throw new ImageException(
            IMAGE_IN_USE, "interrupted while another process made %s".formatted(id), e);
      }
    }
  }

  /** Null if it is here, broken, and in use: that may last for as long as a microVM does. */
  private ImageLocks.@Nullable Lease aloneToMake(ImageId id)
      throws IOException, InterruptedException {
    return Files.isDirectory(path(id)) ? locks().tryAlone(id).orElse(null) : locks().alone(id);
  }

  /** The same, and keeps it from being removed: it has no name yet. */
  public Use obtainInUse(ImageId id, Maker maker) throws IOException, ImageException {
    for (int round = 1; ; round++) {
      makeUnlessHere(id, maker);
      try {
        return use(id);
      } catch (ImageException e) {
        if (e.reason() != IMAGE_UNKNOWN || round == MOST_ROUNDS) {
          throw e;
        }
        // It was removed in between.
      }
    }
  }

  private boolean isToBeMade(ImageId id) throws IOException {
    return isBroken(id) && !isLinked(id);
  }

  /** Whether it is not here whole; not if another time may tell. */
  private boolean isBroken(ImageId id) {
    try {
      var _ = ContainerImage.read(id, path(id));
      return false;
    } catch (ImageException e) {
      return !e.mayPass();
    }
  }

  private void make(ImageId id, Maker maker) throws IOException, ImageException {
    Path building = unfinished(id, "building");
    FileTrees.delete(building);
    Thread removal = new Thread(() -> deleteAtExit(building));
    Runtime.getRuntime().addShutdownHook(removal);
    try {
      Files.createDirectory(building);
      ContainerImage.Settings settings = maker.makeIn(building);
      settings.write(building);
      flush(building);
      Path broken = moveAway(id);
      Files.move(building, path(id), StandardCopyOption.ATOMIC_MOVE);
      force(directory);
      FileTrees.delete(broken);
    } finally {
      FileTrees.delete(building);
      forget(removal);
    }
  }

  private static void forget(Thread shutdownHook) {
    try {
      Runtime.getRuntime().removeShutdownHook(shutdownHook);
    } catch (IllegalStateException e) {
      // This process ends, and the hook runs: what is left for this thread would be in its way.
      Thread.currentThread().interrupt();
    }
  }

  /** Ctrl-C: what cannot be deleted while it is still written to, the next pull deletes. */
  private static void deleteAtExit(Path building) {
    try {
      FileTrees.delete(building);
    } catch (IOException e) {
      System.err.println("left for the next pull to remove: " + e);
    }
  }

  /** So that no crash of the host shows the name without the content. */
  private static void flush(Path directory) throws IOException {
    try (Stream<Path> files = Files.list(directory)) {
      for (Path file : files.toList()) {
        force(file);
      }
    }
    force(directory);
  }

  private static void force(Path path) throws IOException {
    try (FileChannel channel = FileChannel.open(path, StandardOpenOption.READ)) {
      channel.force(true);
    }
  }

  /** Gives an image a name, which another may have had until now. */
  public void name(ImageName name, ImageId id) throws IOException {
    Path file = nameFile(name);
    Path names = Files.createDirectories(directory.resolve("names"));
    Path written = Files.createTempFile(names, ".", ".tmp");
    try {
      Files.writeString(written, "%s\n%s\n".formatted(name, id));
      force(written);
      Files.move(written, file, StandardCopyOption.ATOMIC_MOVE);
      force(names);
    } finally {
      Files.deleteIfExists(written);
    }
  }

  /** All names, sorted. */
  public List<Named> names() throws IOException {
    List<Named> names = new ArrayList<>();
    for (Path file : entries(directory.resolve("names"))) {
      if (!String.valueOf(file.getFileName()).startsWith(".")) {
        read(file).ifPresent(names::add);
      }
    }
    names.sort(Comparator.comparing(named -> named.name().toString()));
    return names;
  }

  /**
   * All images, those that were used last at the end. One that cannot be read is left out; if it is
   * broken, {@link #prune} removes it.
   */
  public List<Listed> list() throws IOException, ImageException {
    List<Named> names = names();
    List<Listed> listed = new ArrayList<>();
    for (ImageId id : ids()) {
      try {
        listed.add(
            new Listed(
                ContainerImage.read(id, path(id)),
                names.stream().filter(named -> named.image().equals(id)).map(Named::name).toList(),
                Files.getLastModifiedTime(path(id)).toInstant(),
                isInUse(id)));
      } catch (ImageException | NoSuchFileException e) {
        // It is broken, cannot be read now, or goes just now.
      }
    }
    listed.sort(Comparator.comparing(Listed::lastUse));
    return listed;
  }

  private List<ImageId> ids() throws IOException {
    return entries(directory).stream()
        .map(path -> DIRECTORY.matcher(String.valueOf(path.getFileName())))
        .filter(Matcher::matches)
        .map(matcher -> new ImageId(matcher.group(1)))
        .toList();
  }

  /**
   * All images but those that cannot be read, those that were used last at the end. Locks none, and
   * reads each but once until it changes, so it is quick; one that goes meanwhile may be among
   * them.
   */
  public List<Held> held() throws IOException, ImageException {
    Map<ImageId, List<ImageName>> names = new HashMap<>();
    for (Named named : names()) {
      names.computeIfAbsent(named.image(), _ -> new ArrayList<>()).add(named.name());
    }
    List<Held> held = new ArrayList<>();
    List<ImageId> ids = ids();
    readable.keySet().retainAll(ids);
    for (ImageId id : ids) {
      try {
        requireReadable(id);
        held.add(
            new Held(
                id,
                names.getOrDefault(id, List.of()),
                Files.size(root(id)),
                Files.getLastModifiedTime(path(id)).toInstant()));
      } catch (ImageException | NoSuchFileException e) {
        // It is broken, cannot be read now, or goes just now.
      }
    }
    held.sort(Comparator.comparing(Held::lastUse));
    return held;
  }

  private void requireReadable(ImageId id) throws IOException, ImageException {
    FileTime written = ContainerImage.lastWritten(path(id));
    if (!written.equals(readable.get(id))) {
      var _ = ContainerImage.read(id, path(id));
      readable.put(id, written);
    }
  }

  private boolean isInUse(ImageId id) throws IOException {
    if (isLinked(id)) {
      return true;
    }
    Optional<ImageLocks.Lease> lease = locks().tryAlone(id);
    if (lease.isPresent()) {
      lease.get().close();
    }
    return lease.isEmpty();
  }

  /**
   * Whether a microVM has a link to the root: without its image it would take as much of the disk.
   */
  private boolean isLinked(ImageId id) throws IOException {
    try {
      return Files.getAttribute(root(id), "unix:nlink") instanceof Integer links && links > 1;
    } catch (NoSuchFileException e) {
      return false;
    }
  }

  /**
   * Takes a name away, and removes the image with its last name; one that is in use stays, for
   * {@link #prune} to remove.
   *
   * @return whether the image was removed
   * @throws ImageException IMAGE_UNKNOWN without such a name
   */
  public boolean remove(ImageName name) throws IOException, ImageException {
    ImageId id = read(nameFile(name)).orElseThrow(() -> unknown(name.toString())).image();
    Files.deleteIfExists(nameFile(name));
    return tryRemoveUnnamed(id);
  }

  /**
   * Removes an image with all its names.
   *
   * @throws ImageException IMAGE_UNKNOWN, IMAGE_IN_USE
   */
  public void remove(ImageId id) throws IOException, ImageException {
    if (!Files.isDirectory(path(id))) {
      throw unknown(id.toString());
    }
    if (!tryRemove(id)) {
      throw new ImageException(
          IMAGE_IN_USE, "%s is in use; delete the microVMs that have it".formatted(id));
    }
  }

  private boolean tryRemove(ImageId id) throws IOException {
    return tryRemove(id, () -> true);
  }

  /** Names are looked for when nobody can have the image any more, and so give it one. */
  private boolean tryRemoveUnnamed(ImageId id) throws IOException {
    return tryRemove(id, () -> names().stream().noneMatch(named -> named.image().equals(id)));
  }

  /** Asked when the image is locked. */
  @FunctionalInterface
  private interface Condition {
    boolean holds() throws IOException;
  }

  private boolean tryRemove(ImageId id, Condition condition) throws IOException {
    Optional<ImageLocks.Lease> lease = locks().tryAlone(id);
    if (lease.isEmpty()) {
      return false;
    }
    try (ImageLocks.Lease _ = lease.get()) {
      if (isLinked(id) || !condition.holds()) {
        return false;
      }
      Path removed = moveAway(id);
      for (Named named : names()) {
        if (named.image().equals(id)) {
          Files.deleteIfExists(nameFile(named.name()));
        }
      }
      FileTrees.delete(removed);
      return true;
    }
  }

  /** Where the image's directory is now, if it was there: to be deleted. */
  private Path moveAway(ImageId id) throws IOException {
    Path removed = unfinished(id, "removed");
    FileTrees.delete(removed);
    if (Files.isDirectory(path(id))) {
      Files.move(path(id), removed, StandardCopyOption.ATOMIC_MOVE);
    }
    return removed;
  }

  /**
   * Removes what killed processes have left, and names that say nothing. What others are just
   * making stays.
   */
  public void sweep() throws IOException {
    for (Path path : entries(directory.resolve("names"))) {
      boolean isTemporary = String.valueOf(path.getFileName()).startsWith(".");
      if (isTemporary
          ? isLeft(path)
          : read(path).map(named -> !Files.isDirectory(path(named.image()))).orElse(true)) {
        Files.deleteIfExists(path);
      }
    }
    for (Path path : entries(directory)) {
      Matcher matcher = UNFINISHED.matcher(String.valueOf(path.getFileName()));
      if (matcher.matches()) {
        Optional<ImageLocks.Lease> lease = locks().tryAlone(new ImageId(matcher.group(1)));
        if (lease.isPresent()) {
          try (ImageLocks.Lease _ = lease.get()) {
            FileTrees.delete(path);
          }
        }
      }
    }
  }

  private boolean isLeft(Path written) throws IOException {
    try {
      return Files.getLastModifiedTime(written)
          .toInstant()
          .isBefore(clock.instant().minus(LONG_AGO));
    } catch (NoSuchFileException e) {
      // It is a name by now.
      return false;
    }
  }

  /**
   * Removes images that are not in use: those without a name or that are broken, and of the others
   * those that were not used for the longest, until so much of the file system is free.
   *
   * @param keepFreeBytes 0 to remove only those without a name, {@link Long#MAX_VALUE} for all
   */
  public Pruned prune(long keepFreeBytes) throws IOException, ImageException {
    sweep();
    List<ContainerImage> removed = new ArrayList<>();
    if (!Files.isDirectory(directory)) {
      return new Pruned(removed, 0);
    }
    removeBroken();
    Set<ImageId> named = new HashSet<>();
    names().forEach(name -> named.add(name.image()));
    List<Listed> images = list();
    for (Listed listed : images) {
      if (!named.contains(listed.image().id()) && tryRemoveUnnamed(listed.image().id())) {
        removed.add(listed.image());
      }
    }
    for (Listed listed : images) {
      if (freeSpace.bytes() >= keepFreeBytes) {
        break;
      }
      if (named.contains(listed.image().id()) && tryRemove(listed.image().id())) {
        removed.add(listed.image());
      }
    }
    return new Pruned(removed, freeSpace.bytes());
  }

  private void removeBroken() throws IOException {
    for (ImageId id : ids()) {
      if (isBroken(id)) {
        // Another may have removed it, and made it again.
        var _ = tryRemove(id, () -> isBroken(id));
      }
    }
  }

  /** How much its file system has left, bytes. The cache must exist. */
  public long freeBytes() throws IOException {
    return freeSpace.bytes();
  }

  private ImageLocks locks() throws IOException {
    return ImageLocks.of(directory);
  }

  private Path path(ImageId id) {
    return directory.resolve("sha256-" + id.hex());
  }

  private Path root(ImageId id) {
    return path(id).resolve(ContainerImage.ROOT_FILE);
  }

  private Path unfinished(ImageId id, String state) {
    return directory.resolve(".sha256-%s.%s".formatted(id.hex(), state));
  }

  /** A name can be longer than a file's may be, and has slashes. */
  private Path nameFile(ImageName name) {
    return directory.resolve("names").resolve(new Fingerprint().add(name.toString()).hex());
  }

  /** Nothing also of what holds no name and image: a crash of the host may leave such. */
  private static Optional<Named> read(Path file) throws IOException {
    try {
      String[] lines = Files.readString(file, UTF_8).split("\n", -1);
      return lines.length < 2
          ? Optional.empty()
          : Optional.of(new Named(ImageName.parse(lines[0]), ImageId.parse(lines[1])));
    } catch (NoSuchFileException | CharacterCodingException | ImageException e) {
      return Optional.empty();
    }
  }

  private static List<Path> entries(Path directory) throws IOException {
    if (!Files.isDirectory(directory)) {
      return List.of();
    }
    try (Stream<Path> entries = Files.list(directory)) {
      return entries.sorted().toList();
    }
  }

  private static ImageException unknown(String name) {
    return new ImageException(
        IMAGE_UNKNOWN,
        "there is no container image %s here; vireo image list tells what there is"
            .formatted(name));
  }
}
