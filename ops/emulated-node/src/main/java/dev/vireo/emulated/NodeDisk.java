package dev.vireo.emulated;

import static dev.vireo.emulated.EmulatedNodeException.Reason.ARTIFACT_MISSING;

import dev.vireo.images.CachedDirectory;
import dev.vireo.images.Commands;
import dev.vireo.images.FileTrees;
import dev.vireo.images.Fingerprint;
import dev.vireo.images.GuestImage;
import dev.vireo.images.ImageException;
import dev.vireo.images.Progress;
import dev.vireo.images.container.ContainerImage;
import dev.vireo.images.container.ContainerImageCache;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Pattern;

/**
 * The job disk of a node: worker, VMM, the program for container images, and images, as built. Made
 * again whenever one of them has changed, and shared by all nodes of this cache.
 */
final class NodeDisk {
  private static final String FILE = "node.ext4";

  /** Counts changes of this class and of {@link WorkerProgram} that change the disk. */
  private static final int RECIPE = 7;

  /** Where a node's disk, which is mounted at {@code /job}, has what it is made of. */
  static final String WORKER = "worker";

  static final String VMM = "vmm";
  static final String OCI = "oci";
  static final String CACHE = "cache";
  static final String CONTAINER_IMAGES = "images-oci";

  private static final Pattern COMMAND_LINE = Pattern.compile("(?m)^command_line=.*");

  private final Path cache;
  private final OuterImage outer;
  private final Path worker;
  private final Path vmm;
  private final Path oci;
  private final List<GuestImage> images;
  private final ContainerImageCache containerImages;
  private final Commands commands;
  private final Progress progress;

  /**
   * @param cache Vireo's cache directory
   * @param outer where it will be
   * @param sourceTree in which worker, VMM and the program for container images were built
   * @param images for the node's image store
   * @param containerImages that the node has from its start on
   */
  NodeDisk(
      Path cache,
      OuterImage outer,
      Path sourceTree,
      List<GuestImage> images,
      ContainerImageCache containerImages,
      Commands commands,
      Progress progress) {
    this.cache = cache;
    this.outer = outer;
    this.worker = sourceTree.resolve("worker-vmm/worker/target/worker");
    this.vmm = sourceTree.resolve("worker-vmm/vmm/target/vmm");
    this.oci = sourceTree.resolve("worker-vmm/oci/target/oci");
    this.images = List.copyOf(images);
    this.containerImages = containerImages;
    this.commands = commands;
    this.progress = progress;
  }

  /**
   * The disk's file, from the cache or made now.
   *
   * @throws EmulatedNodeException ARTIFACT_MISSING if one of the programs has not been built
   */
  Path obtain() throws IOException, ImageException, EmulatedNodeException {
    requireBuilt(worker.resolve("lib"), "worker-vmm/worker");
    requireBuilt(vmm.resolve("vmm.args"), "worker-vmm/vmm");
    requireBuilt(oci.resolve("lib"), "worker-vmm/oci");
    Fingerprint fingerprint =
        new Fingerprint()
            .add(Integer.toString(RECIPE))
            .addFiles(worker)
            .addFiles(vmm)
            .addFiles(oci)
            .addFiles(outer.javaRuntime().resolve("lib/server"));
    for (GuestImage image : images) {
      fingerprint.add(image.name()).addFiles(image.directory());
    }
    for (ContainerImageCache.Named named : containerImages.names()) {
      fingerprint.add(named.name() + " " + named.image());
    }
    return CachedDirectory.obtain(
            cache.resolve("emulated-node"),
            "node-" + outer.architecture().label(),
            fingerprint.hex(),
            this::buildInto)
        .resolve(FILE);
  }

  private static void requireBuilt(Path artifact, String module) throws EmulatedNodeException {
    if (!Files.exists(artifact)) {
      throw new EmulatedNodeException(
          ARTIFACT_MISSING,
          "%s is missing; build it: ./mvnw -pl %s -am package".formatted(artifact, module));
    }
  }

  private void buildInto(Path directory) throws IOException, ImageException {
    progress.step("copying worker, VMM and images for the node");
    Path contents = directory.resolve("contents");
    FileTrees.copy(worker, contents.resolve(WORKER));
    FileTrees.copy(vmm, contents.resolve(VMM));
    FileTrees.copy(oci, contents.resolve(OCI));
    var program = new WorkerProgram(contents.resolve(WORKER), outer.javaRuntime());
    if (outer.isOfHostsArchitecture()) {
      progress.step("making the worker's class archive");
      program.prepare(commands);
    } else {
      program.prepareWithoutArchive();
      new ForeignVmm(contents.resolve(VMM), outer.architecture()).adapt(contents.resolve(WORKER));
    }
    for (GuestImage image : images) {
      Path copy = contents.resolve(CACHE).resolve("images").resolve(image.name());
      FileTrees.copy(image.directory(), copy);
      addKernelArguments(
          copy.resolve(GuestImage.PROPERTIES_FILE),
          EmulatedMachine.of(outer.architecture()).guestKernelArguments());
    }
    copyContainerImages(ContainerImageCache.of(contents.resolve(CACHE).resolve(CONTAINER_IMAGES)));
    progress.step("making the node's disk");
    JobDisk.make(contents, directory.resolve(FILE), commands);
    FileTrees.delete(contents);
  }

  private void copyContainerImages(ContainerImageCache node) throws IOException, ImageException {
    for (ContainerImageCache.Named named : containerImages.names()) {
      ContainerImage image = containerImages.find(named.image()).orElseThrow();
      var _ =
          node.obtain(
              image.id(),
              directory -> {
                FileTrees.copyFile(image.root(), directory.resolve(ContainerImage.ROOT_FILE));
                return image.settings();
              });
      node.name(named.name(), image.id());
    }
  }

  /** An image's own arguments stay before them. */
  static void addKernelArguments(Path properties, String arguments) throws IOException {
    String text = Files.readString(properties);
    Files.writeString(properties, COMMAND_LINE.matcher(text).replaceFirst("$0 " + arguments));
  }
}
