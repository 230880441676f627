package dev.vireo.proto.image;

/**
 * Names of container images as nodes tell them: what is left out is filled in, as docker does it
 * (distribution/reference, "ParseDockerRef"). Whether a name is one at all, its node says.
 */
public final class ImageNames {
  /** An image that nodes make themselves. */
  private static final String BUILT_IN = "busybox";

  private static final String DEFAULT_REGISTRY = "docker.io";

  private ImageNames() {}

  /** Whether it is an image's id, by which it is not to be got from anywhere. */
  public static boolean isId(String text) {
    return text.startsWith("sha256:");
  }

  /** As nodes tell it; {@code x} is {@code docker.io/library/x:latest}. */
  public static String canonical(String text) {
    return text.equals(BUILT_IN) || isId(text) ? text : inRegistry(text);
  }

  /**
   * As nodes tell that of a registry's image, or of a loaded one: {@code busybox} is none of their
   * own there but {@code docker.io/library/busybox:latest}, and nothing is an id.
   */
  public static String inRegistry(String text) {
    int at = text.indexOf('@');
    String digest = at < 0 ? "" : text.substring(at);
    String rest = at < 0 ? text : text.substring(0, at);
    // A colon before the last slash is a port's.
    int colon = rest.indexOf(':', rest.lastIndexOf('/') + 1);
    String tag = colon < 0 ? "" : rest.substring(colon);
    return repository(colon < 0 ? rest : rest.substring(0, colon))
        + (tag.isEmpty() && digest.isEmpty() ? ":latest" : tag + digest);
  }

  private static String repository(String name) {
    int slash = name.indexOf('/');
    boolean hasRegistry = slash >= 0 && isRegistry(name.substring(0, slash));
    String registry = hasRegistry ? registry(name.substring(0, slash)) : DEFAULT_REGISTRY;
    String path = hasRegistry ? name.substring(slash + 1) : name;
    boolean official = registry.equals(DEFAULT_REGISTRY) && path.indexOf('/') < 0;
    return registry + (official ? "/library/" : "/") + path;
  }

  private static boolean isRegistry(String part) {
    return part.contains(".") || part.contains(":") || part.equals("localhost");
  }

  private static String registry(String host) {
    return host.equals("index.docker.io") || host.equals("registry-1.docker.io")
        ? DEFAULT_REGISTRY
        : host;
  }
}
