package dev.vireo.images;

import static dev.vireo.images.ImageException.Reason.PACKAGE_INVALID;
import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.stream.Collectors.joining;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;

/**
 * The loadable modules of one kernel, {@code /lib/modules/<release>}, and what each needs. Packages
 * come without a modules.dep (a package's script makes it), so dependencies are read from the
 * modules themselves.
 */
public final class KernelModules {
  private static final String SUFFIX = ".ko";

  /**
   * A module of this kernel.
   *
   * @param name with underscores, as the kernel has it
   * @param path relative to {@code /lib/modules/<release>}
   * @param dependencies names of modules that have to be loaded before it
   */
  public record Module(String name, Path path, List<String> dependencies) {
    public Module {
      dependencies = List.copyOf(dependencies);
    }
  }

  private final Path directory;
  private final Map<String, Path> loadable;
  private final Set<String> builtIn;

  private KernelModules(Path directory, Map<String, Path> loadable, Set<String> builtIn) {
    this.directory = directory;
    this.loadable = loadable;
    this.builtIn = builtIn;
  }

  /**
   * @param directory {@code …/lib/modules/<release>}
   * @throws ImageException PACKAGE_INVALID if there are no modules
   */
  public static KernelModules of(Path directory) throws ImageException {
    try (Stream<Path> files = Files.walk(directory);
        Stream<String> builtIn = Files.lines(directory.resolve("modules.builtin"))) {
      Map<String, Path> loadable = new HashMap<>();
      files
          .filter(file -> file.toString().endsWith(SUFFIX))
          .forEach(file -> loadable.put(nameOf(file), directory.relativize(file)));
      return new KernelModules(
          directory, loadable, new HashSet<>(builtIn.map(path -> nameOf(Path.of(path))).toList()));
    } catch (IOException e) {
      throw new ImageException(
          PACKAGE_INVALID, "no kernel modules in %s: %s".formatted(directory, e), e);
    }
  }

  /** The kernel's release, what {@code uname -r} says. */
  public String release() {
    return String.valueOf(directory.getFileName());
  }

  /** Where a module's file is. */
  public Path file(Module module) {
    return directory.resolve(module.path());
  }

  /**
   * Modules and all that they need, each after what it needs. What is built into the kernel is left
   * out.
   *
   * @throws ImageException PACKAGE_INVALID if the kernel has no such module, loadable or built in
   */
  public List<Module> closure(Collection<String> names) throws ImageException {
    Map<String, Module> closure = new LinkedHashMap<>();
    for (String name : names) {
      add(nameOf(Path.of(name)), closure);
    }
    return List.copyOf(closure.values());
  }

  private void add(String name, Map<String, Module> closure) throws ImageException {
    if (closure.containsKey(name) || builtIn.contains(name)) {
      return;
    }
    Path path = loadable.get(name);
    if (path == null) {
      throw new ImageException(
          PACKAGE_INVALID, "kernel %s has no module %s".formatted(release(), name));
    }
    ModuleInfo info = info(path);
    for (String dependency : info.preDependencies()) {
      // Soft: often an alias, or built in under another name. The kernel asks for it when it must.
      if (loadable.containsKey(dependency)) {
        add(dependency, closure);
      }
    }
    for (String dependency : info.dependencies()) {
      add(dependency, closure);
    }
    closure.put(name, new Module(name, path, loadableOnly(info.dependencies())));
  }

  private List<String> loadableOnly(List<String> names) {
    return names.stream().filter(name -> !builtIn.contains(name)).toList();
  }

  private ModuleInfo info(Path path) throws ImageException {
    try {
      return ModuleInfo.parse(Files.readAllBytes(directory.resolve(path)));
    } catch (IOException | IllegalArgumentException e) {
      throw new ImageException(
          PACKAGE_INVALID, "cannot read module %s: %s".formatted(directory.resolve(path), e), e);
    }
  }

  /**
   * Puts modules, all that they need, and the files by which modprobe finds them into an initramfs.
   *
   * @throws ImageException PACKAGE_INVALID as {@link #closure}
   */
  public void addTo(Initramfs initramfs, Collection<String> names)
      throws IOException, ImageException {
    String target = "lib/modules/" + release() + "/";
    List<Module> closure = closure(names);
    for (Module module : closure) {
      initramfs.file(target + module.path(), 0644, Files.readAllBytes(file(module)));
    }
    initramfs.file(target + "modules.dep", 0644, modulesDep(closure).getBytes(UTF_8));
  }

  /**
   * Puts modules and all that they need into an initramfs whose init is the guest's agent, and for
   * it the list {@code lib/vireo/modules}: paths, each after those that it needs.
   *
   * @throws ImageException PACKAGE_INVALID as {@link #closure}
   */
  void addInLoadOrder(Initramfs initramfs, Collection<String> names)
      throws IOException, ImageException {
    StringBuilder list = new StringBuilder();
    for (Module module : closure(names)) {
      String path = "lib/modules/" + release() + "/" + module.path();
      initramfs.file(path, 0644, Files.readAllBytes(file(module)));
      list.append('/').append(path).append('\n');
    }
    initramfs.file("lib/vireo/modules", 0644, list.toString().getBytes(UTF_8));
  }

  /**
   * The file {@code modules.dep} for some modules, which modprobe reads: each module's path, a
   * colon, and the paths of all modules that it needs, the last to be loaded first (depmod(8)).
   *
   * @param modules a {@link #closure}
   */
  public static String modulesDep(List<Module> modules) {
    Map<String, Module> byName = new HashMap<>();
    modules.forEach(module -> byName.put(module.name(), module));
    return modules.stream()
        .map(module ->
            module.path()
                + ":"
                + needs(module, byName).stream()
                    .map(needed -> " " + needed.path())
                    .collect(joining()))
        .collect(joining("\n", "", "\n"));
  }

  /** All that a module needs, itself left out; whatever needs another comes before it. */
  private static List<Module> needs(Module module, Map<String, Module> byName) {
    LinkedHashMap<String, Module> loadOrder = new LinkedHashMap<>();
    collectNeeds(module, byName, loadOrder);
    loadOrder.remove(module.name());
    return List.copyOf(loadOrder.sequencedValues().reversed());
  }

  private static void collectNeeds(
      Module module, Map<String, Module> byName, Map<String, Module> loadOrder) {
    for (String dependency : module.dependencies()) {
      Module needed = byName.get(dependency);
      if (needed != null) {
        collectNeeds(needed, byName, loadOrder);
      }
    }
    loadOrder.putIfAbsent(module.name(), module);
  }

  private static String nameOf(Path file) {
    String name = String.valueOf(file.getFileName());
    String stem = name.endsWith(SUFFIX) ? name.substring(0, name.length() - SUFFIX.length()) : name;
    return stem.replace('-', '_');
  }
}
