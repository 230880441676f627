package dev.vireo.images;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
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
        List.of("busybox-static", "linux-image-cloud-amd64", "linux-image-6.1.0-1-cloud-amd64");

    private final List<String> calls = new ArrayList<>();
    boolean listsKnowPackages = true;
    boolean networkWorks = true;

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
        return success(name + "\n  Depends: linux-image-6.1.0-1-cloud-amd64\n");
      }
      if (!networkWorks) {
        return new Result(
            100, "", "E: Failed to fetch http://mirror/x  Could not resolve 'mirror'");
      }
      if (call.equals("update")) {
        listsKnowPackages = true;
        return success("");
      }
      return download(directory.resolve(file(name)));
    }

    long calls(String call) {
      return calls.stream().filter(call::equals).count();
    }

    private static String file(String name) {
      return name + "_1%3a1.35.0-4+b1_amd64.deb";
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
