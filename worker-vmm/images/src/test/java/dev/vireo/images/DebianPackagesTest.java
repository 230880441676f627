package dev.vireo.images;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Packages are fetched once; what apt cannot do is told by what the user can do about it. */
class DebianPackagesTest {
  @TempDir Path temporary;
  private final FakeApt apt = new FakeApt();

  @Test
  void aPackageIsFetchedOnce() throws Exception {
    DebianPackage first = packages().fetch("busybox-static");
    DebianPackage second = packages().fetch("busybox-static");

    assertEquals("busybox-static 1:1.35.0-4+b1", first.toString());
    assertEquals(first, second);
    assertEquals(1, apt.calls("download busybox-static"));
    assertEquals(List.of(first.file()), cached());
  }

  @Test
  void aFileOfAnotherSizeIsFetchedAgain() throws Exception {
    DebianPackage first = packages().fetch("busybox-static");
    Files.writeString(first.file(), "cut short");

    packages().fetch("busybox-static");

    assertEquals(FakeApt.CONTENT, Files.readString(first.file()));
  }

  @Test
  void listsAreUpdatedWhenAptDoesNotKnowThePackage() throws Exception {
    apt.listsKnowPackages = false;

    packages().fetch("busybox-static");

    assertEquals(1, apt.calls("update"));
  }

  @Test
  void aMetaPackageLeadsToWhatItDependsOn() throws Exception {
    DebianPackage kernel =
        packages().fetchDependency("linux-image-cloud-amd64", Pattern.compile("linux-image-\\S+"));

    assertEquals("linux-image-6.1.0-1-cloud-amd64", kernel.name());
  }

  @Test
  void aVersionThatTheMirrorHasNoLongerIsFollowedByTheNext() throws Exception {
    apt.mirrorVersion = "2";

    assertEquals("busybox-static 2", packages().fetch("busybox-static").toString());
    assertEquals(1, apt.calls("update"));
    assertEquals(1, cached().size());
  }

  @Test
  void withNewListsAMetaPackageLeadsToAnother() throws Exception {
    apt.mirrorVersion = "2";

    DebianPackage kernel =
        packages().fetchDependency("linux-image-cloud-amd64", Pattern.compile("linux-image-\\S+"));

    assertEquals("linux-image-6.1.0-2-cloud-amd64", kernel.name());
  }

  @Test
  void whatAKilledDownloadHasLeftIsRemoved() throws Exception {
    Path old = Files.createDirectory(temporary.resolve(".download-1"));
    Files.writeString(old.resolve("half"), "half");
    Files.setLastModifiedTime(old, FileTime.from(Instant.now().minus(Duration.ofHours(2))));
    Path current = Files.createDirectory(temporary.resolve(".download-2"));

    DebianPackage fetched = packages().fetch("busybox-static");

    assertEquals(Set.of(current, fetched.file()), Set.copyOf(cached()));
  }

  @Test
  void aPackageThatDoesNotExistIsNotANetworkProblem() {
    var refusal = assertThrows(ImageException.class, () -> packages().fetch("nonsense"));

    assertEquals(ImageException.Reason.PACKAGE_NOT_FOUND, refusal.reason());
  }

  @Test
  void withoutANetworkTheUserIsToldSoAndNothingIsLeft() throws Exception {
    apt.networkWorks = false;

    var refusal = assertThrows(ImageException.class, () -> packages().fetch("busybox-static"));

    assertEquals(ImageException.Reason.NETWORK_UNAVAILABLE, refusal.reason());
    assertTrue(String.valueOf(refusal.getMessage()).contains("is there a network"));
    assertEquals(List.of(), cached());
  }

  private DebianPackages packages() {
    return new DebianPackages(temporary, Apt.ofHost(apt), step -> {});
  }

  private List<Path> cached() throws IOException {
    try (Stream<Path> files = Files.list(temporary)) {
      return files.toList();
    }
  }

  /** An apt with two packages and a kernel's meta-package. */
  private static final class FakeApt implements Commands {
    static final String CONTENT = "deb";
    private static final List<String> PACKAGES =
        List.of(
            "busybox-static",
            "linux-image-cloud-amd64",
            "linux-image-6.1.0-1-cloud-amd64",
            "linux-image-6.1.0-2-cloud-amd64");
    private static final String FIRST_VERSION = "1%3a1.35.0-4+b1";

    private final List<String> calls = new ArrayList<>();
    boolean listsKnowPackages = true;
    boolean networkWorks = true;

    /** Which the lists tell once they are updated. */
    String mirrorVersion = FIRST_VERSION;

    private String listedVersion = FIRST_VERSION;

    @Override
    public Result run(Path directory, List<String> command) {
      String call = String.join(" ", command).replaceFirst(".*Sandbox::User=root ", "");
      calls.add(call);
      String name = command.getLast();
      if (call.startsWith("--print-uris")) {
        return listsKnowPackages && PACKAGES.contains(name)
            ? success("'http://mirror/x' %s %d SHA256:0\n".formatted(file(name), CONTENT.length()))
            : new Result(100, "", "E: Unable to locate package " + name);
      }
      if (call.equals("apt-cache depends linux-image-cloud-amd64")) {
        String release = listedVersion.equals(FIRST_VERSION) ? "1" : listedVersion;
        return success(name + "\n  Depends: linux-image-6.1.0-%s-cloud-amd64\n".formatted(release));
      }
      if (!networkWorks) {
        return new Result(
            100, "", "E: Failed to fetch http://mirror/x  Could not resolve 'mirror'");
      }
      if (call.equals("update")) {
        listsKnowPackages = true;
        listedVersion = mirrorVersion;
        return success("");
      }
      return listedVersion.equals(mirrorVersion)
          ? download(directory.resolve(file(name)))
          : new Result(100, "", "E: Failed to fetch http://mirror/x  404  Not Found");
    }

    long calls(String call) {
      return calls.stream().filter(call::equals).count();
    }

    private String file(String name) {
      return name + "_%s_amd64.deb".formatted(listedVersion);
    }

    private static Result download(Path file) {
      try {
        Files.writeString(file, CONTENT);
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
      return success("");
    }

    private static Result success(String output) {
      return new Result(0, output, "");
    }
  }
}
