package dev.vireo.images.container;

import static dev.vireo.images.ImageException.Reason.NAME_INVALID;

import dev.vireo.images.ImageException;
import java.net.URI;
import java.net.URISyntaxException;
import java.util.Optional;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** The grammar of {@link ImageName}s: that of distribution/reference, docker's library for it. */
final class ImageNameGrammar {
  private static final int MOST_CHARACTERS = 255;
  private static final int MOST_PORT = 65_535;
  private static final Pattern HOST =
      Pattern.compile(
          "([a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?|\\[[0-9a-fA-F:]+\\])(:[0-9]{1,5})?");
  private static final Pattern COMPONENT = Pattern.compile("[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*");
  private static final Pattern TAG = Pattern.compile("[A-Za-z0-9_][-A-Za-z0-9_.]{0,127}");

  private ImageNameGrammar() {}

  static ImageName.InRegistry parse(String text) throws ImageException {
    String rest = text;
    int at = rest.indexOf('@');
    @Nullable String digest = at < 0 ? null : rest.substring(at + 1);
    rest = at < 0 ? rest : rest.substring(0, at);
    // A colon before the last slash is a port's.
    int colon = rest.indexOf(':', rest.lastIndexOf('/') + 1);
    @Nullable String tag = colon < 0 ? null : rest.substring(colon + 1);
    rest = colon < 0 ? rest : rest.substring(0, colon);
    int slash = rest.indexOf('/');
    boolean hasRegistry = slash >= 0 && isRegistry(rest.substring(0, slash));
    String registry =
        hasRegistry ? canonical(rest.substring(0, slash)) : ImageName.DEFAULT_REGISTRY;
    String repository = hasRegistry ? rest.substring(slash + 1) : rest;
    if (registry.equals(ImageName.DEFAULT_REGISTRY) && repository.indexOf('/') < 0) {
      repository = "library/" + repository;
    }
    if (tag == null && digest == null) {
      tag = ImageName.DEFAULT_TAG;
    }
    check(text, registry, repository, tag, digest);
    return new ImageName.InRegistry(
        registry, repository, Optional.ofNullable(tag), Optional.ofNullable(digest));
  }

  /** As docker tells a host from the first part of a name. */
  private static boolean isRegistry(String part) {
    return part.contains(".") || part.contains(":") || part.equals("localhost");
  }

  private static String canonical(String registry) {
    return registry.equals("index.docker.io") || registry.equals("registry-1.docker.io")
        ? ImageName.DEFAULT_REGISTRY
        : registry;
  }

  private static void check(
      String text,
      String registry,
      String repository,
      @Nullable String tag,
      @Nullable String digest)
      throws ImageException {
    if (!HOST.matcher(registry).matches() || !isHost(registry)) {
      throw invalid(text, "the registry", registry, "must be a host, with :PORT if need be");
    }
    for (String component : repository.split("/", -1)) {
      if (!COMPONENT.matcher(component).matches()) {
        throw invalid(
            text,
            "the repository's part",
            component,
            "must be lower-case letters and digits, with single . _ - between them");
      }
    }
    if (registry.length() + repository.length() > MOST_CHARACTERS) {
      throw invalid(text, "the name", text, "must have no more than 255 characters");
    }
    if (tag != null && !TAG.matcher(tag).matches()) {
      throw invalid(
          text, "the tag", tag, "must be up to 128 letters, digits, and _ . - behind the first");
    }
    if (digest != null && !ImageId.isDigest(digest)) {
      throw invalid(text, "the digest", digest, "must be sha256: and 64 hexadecimal digits");
    }
  }

  /** As far as an address can be made of it: 10.0.0 looks like one, and host:99999. */
  private static boolean isHost(String registry) {
    try {
      URI address = new URI("https://" + registry);
      return address.getHost() != null && address.getPort() <= MOST_PORT;
    } catch (URISyntaxException e) {
      return false;
    }
  }

  private static ImageException invalid(String text, String part, String value, String rule) {
    return new ImageException(
        NAME_INVALID,
        "\"%s\" is no name of an image: %s \"%s\" %s".formatted(text, part, value, rule));
  }
}
