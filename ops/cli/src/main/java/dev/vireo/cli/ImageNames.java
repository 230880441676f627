package dev.vireo.cli;

/** Names of images as docker writes them out, for comparing them with those that nodes have. */
final class ImageNames {
  private static final String REGISTRY = "docker.io";

  private ImageNames() {}

  /** With registry and tag. What is no name stays as it is: a node says what is wrong with it. */
  static String full(String name) {
    String digest = name.contains("@") ? name.substring(name.indexOf('@')) : "";
    String rest = name.substring(0, name.length() - digest.length());
    int slash = rest.indexOf('/');
    boolean hasRegistry = slash >= 0 && isRegistry(rest.substring(0, slash));
    String registry = hasRegistry ? rest.substring(0, slash) : REGISTRY;
    String repository = hasRegistry ? rest.substring(slash + 1) : rest;
    if (registry.equals("index.docker.io") || registry.equals("registry-1.docker.io")) {
      registry = REGISTRY;
    }
    if (registry.equals(REGISTRY) && repository.indexOf('/') < 0) {
      repository = "library/" + repository;
    }
    boolean hasTag = repository.indexOf(':', repository.lastIndexOf('/') + 1) >= 0;
    return registry + "/" + repository + (hasTag || !digest.isEmpty() ? "" : ":latest") + digest;
  }

  private static boolean isRegistry(String part) {
    return part.contains(".") || part.contains(":") || part.equals("localhost");
  }
}
