package dev.vireo.images;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Packages of another architecture come by the host's mirror, and the host does not notice. */
class AptTest {
  @TempDir Path directory;
  private final FakeHost host = new FakeHost();

  @Test
  void theHostsAptIsAskedAsItIs() throws Exception {
    Apt.ofHost(host).get(directory, "download", "busybox-static");

    assertEquals(
        List.of("apt-get -q -o APT::Sandbox::User=root download busybox-static"), host.calls);
  }

  @Test
  void anothersHasItsOwnSourcesAndLists() throws Exception {
    Apt apt = Apt.of(directory, "trixie", Architecture.ARM64, host);
    host.calls.clear();

    apt.get(directory, "download", "libc6");

    Path own = directory.resolve("trixie-arm64");
    assertEquals(
        List.of(
            "apt-get -q -o APT::Sandbox::User=root -c %s download libc6"
                .formatted(own.resolve("apt.conf"))),
        host.calls);
    List<String> sources = Files.readAllLines(own.resolve("sources.list"));
    assertEquals(2, sources.size());
    assertTrue(sources.get(0).matches("deb \\[arch=arm64.*] http://mirror/debian/ trixie main"));
    assertTrue(
        sources
            .get(1)
            .matches("deb \\[arch=arm64.*] http://mirror/security/ trixie-security main"));
    String configuration = Files.readString(own.resolve("apt.conf"));
    assertTrue(configuration.contains("APT::Architecture \"arm64\";"), configuration);
    assertTrue(configuration.contains("Dir::State \"%s/state\";".formatted(own)), configuration);
    assertTrue(configuration.contains("Dir::Etc::sourceparts \"/dev/null\";"), configuration);
  }

  @Test
  void theMirrorIsKnownOnceTheHostHasLists() throws Exception {
    host.hasLists = false;

    Apt.of(directory, "bookworm", Architecture.ARM64, host);

    assertTrue(host.calls.stream().anyMatch(call -> call.endsWith(" update")));
  }

  @Test
  void aHostWithoutAMirrorOfDebianIsToldSo() {
    host.hasLists = false;
    host.hasMirror = false;

    var refusal =
        assertThrows(
            ImageException.class, () -> Apt.of(directory, "bookworm", Architecture.ARM64, host));

    assertEquals(ImageException.Reason.HOST_UNSUPPORTED, refusal.reason());
    assertFalse(Files.exists(directory.resolve("bookworm-arm64/apt.conf")));
  }

  /** A host whose apt names its mirror once it has lists. */
  private static final class FakeHost implements Commands {
    final List<String> calls = new ArrayList<>();
    boolean hasLists = true;
    boolean hasMirror = true;

    @Override
    public Result run(Path directory, List<String> command) {
      calls.add(String.join(" ", command));
      if (command.contains("update")) {
        hasLists = true;
      }
      boolean known = command.contains("indextargets") && hasLists && hasMirror;
      String name = command.contains("Label: Debian-Security") ? "security" : "debian";
      return new Result(
          0, known ? "http://mirror/%1$s/\nhttp://mirror/%1$s/\n".formatted(name) : "", "");
    }
  }
}
