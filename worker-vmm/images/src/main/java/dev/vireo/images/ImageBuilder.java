package dev.vireo.images;

import static dev.vireo.images.ImageException.Reason.IMAGE_UNKNOWN;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/** Fills an image store by recipes: each image is built once, and again when its recipe changes. */
public final class ImageBuilder {
  private final ImageDirectory store;
  private final List<ImageRecipe> recipes;

  ImageBuilder(ImageDirectory store, List<ImageRecipe> recipes) {
    this.store = store;
    this.recipes = List.copyOf(recipes);
  }

  /**
   * A builder of all images that Vireo has recipes for on an architecture.
   *
   * @param cache Vireo's cache directory, where packages are kept
   * @param sourceTree Vireo's own source tree, where the probe is built
   */
  public static ImageBuilder of(
      ImageDirectory store,
      Architecture architecture,
      Path cache,
      Path sourceTree,
      Progress progress) {
    Commands commands = Commands.ofHost();
    ImageRecipe debian =
        new Debian12Recipe(
            "debian-12", GuestRoot.minimal(sourceTree), architecture, cache, commands, progress);
    ImageRecipe tools =
        new Debian12Recipe(
            "debian-12-tools",
            GuestRoot.withTools(sourceTree),
            architecture,
            cache,
            commands,
            progress);
    ImageRecipe vireo =
        new VireoKernelRecipe(
            GuestRoot.minimal(sourceTree),
            GuestKernel.of(architecture, cache, sourceTree, commands, progress),
            cache,
            commands,
            progress);
    return new ImageBuilder(
        store,
        switch (architecture) {
          case X86_64 ->
              List.of(
                  debian,
                  tools,
                  vireo,
                  new ProbeRecipe(sourceTree.resolve("ops/guest/probe/build/probe.elf")));
          case ARM64 -> List.of(debian, tools, vireo);
        });
  }

  /** Names and descriptions of what can be built. */
  public List<String> buildable() {
    return recipes.stream().map(recipe -> recipe.name() + ": " + recipe.description()).toList();
  }

  /**
   * The image of this name: from the store if its recipe is still the same, otherwise built now.
   *
   * @throws ImageException IMAGE_UNKNOWN without a recipe; the others say why it cannot be built
   */
  public GuestImage build(String name) throws IOException, ImageException {
    ImageRecipe recipe = recipe(name);
    recipe.prepare();
    return obtain(recipe);
  }

  /**
   * The image of this name, unless that would ask for what takes minutes, such as compiling a
   * kernel.
   *
   * @throws ImageException as {@link #build}
   */
  public Optional<GuestImage> buildQuickly(String name) throws IOException, ImageException {
    ImageRecipe recipe = recipe(name);
    return recipe.isPrepared() ? Optional.of(obtain(recipe)) : Optional.empty();
  }

  private ImageRecipe recipe(String name) throws ImageException {
    return recipes.stream()
        .filter(candidate -> candidate.name().equals(name))
        .findFirst()
        .orElseThrow(() ->
            new ImageException(
                IMAGE_UNKNOWN,
                "no recipe for an image %s; there are: %s"
                    .formatted(name, String.join("; ", buildable()))));
  }

  private GuestImage obtain(ImageRecipe recipe) throws IOException, ImageException {
    return GuestImage.read(
        CachedDirectory.obtain(
            store.path(), recipe.name(), recipe.fingerprint(), recipe::buildInto));
  }
}
