package dev.vireo.cli;

import com.google.protobuf.ByteString;
import dev.vireo.proto.v1.Metadata;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** What a guest can ask its node about itself. */
final class MetadataOptions {
  /** More is refused by the controller, which says so. */
  private static final int MOST_BYTES = (64 << 10) + 1;

  @Option(
      names = "--user-data",
      paramLabel = "FILE|-",
      description =
          "What the guest finds at http://169.254.169.254/latest/user-data: a file's content, or"
              + " standard input. At most 64 KiB.")
  private @Nullable String userData;

  @Option(
      names = "--metadata",
      paramLabel = "KEY=VALUE",
      description =
          "What the guest finds below http://169.254.169.254/latest/meta-data/attributes/."
              + " Repeatable.")
  private Map<String, String> attributes = Map.of();

  /** Whether the guest is to have a metadata service. */
  boolean isGiven() {
    return userData != null || !attributes.isEmpty();
  }

  /**
   * What it is to tell.
   *
   * @param in standard input
   */
  Metadata metadata(InputStream in) {
    Metadata.Builder metadata = Metadata.newBuilder().putAllAttributes(attributes);
    if (userData != null) {
      metadata.setUserData(read(userData, in));
    }
    return metadata.build();
  }

  private static ByteString read(String name, InputStream in) {
    if (name.equals("-")) {
      return readMost(name, in);
    }
    try (InputStream file = Files.newInputStream(Path.of(name))) {
      return readMost(name, file);
    } catch (IOException e) {
      throw unreadable(name, e);
    }
  }

  private static ByteString readMost(String name, InputStream in) {
    try {
      return ByteString.copyFrom(in.readNBytes(MOST_BYTES));
    } catch (IOException e) {
      throw unreadable(name, e);
    }
  }

  private static CommandException unreadable(String name, IOException why) {
    return new CommandException(
        ExitCode.FAILED,
        "cannot read --user-data %s: %s".formatted(name, why),
        "name a file that is here, or - for standard input");
  }
}
