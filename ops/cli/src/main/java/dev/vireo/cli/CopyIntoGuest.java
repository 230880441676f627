package dev.vireo.cli;

import com.google.protobuf.ByteString;
import dev.vireo.cli.CopyCommand.Trailing;
import dev.vireo.proto.time.Timestamps;
import dev.vireo.proto.v1.CopyInRequest;
import dev.vireo.proto.v1.CopyInResponse;
import dev.vireo.proto.v1.CopyInStart;
import dev.vireo.proto.v1.FileEntry;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Optional;

/** Files of this machine, copied into a guest. */
final class CopyIntoGuest {
  private static final int DATA_BYTES = 32 << 10;

  private final Api api;
  private final String microVm;
  private final PrintStream err;
  private final CopyProgress progress;

  /**
   * @param microVm its resource name
   * @param err is told of what cannot be copied: sockets, devices
   */
  CopyIntoGuest(Api api, String microVm, PrintStream err, CopyProgress progress) {
    this.api = api;
    this.microVm = microVm;
    this.err = err;
    this.progress = progress;
  }

  /** Copies a file or a directory, with all that is in it. */
  void copy(Path from, Trailing trailing, String to) {
    try {
      BasicFileAttributes attributes = Files.readAttributes(from, BasicFileAttributes.class);
      if (trailing != Trailing.NOTHING && !attributes.isDirectory()) {
        throw failed("%s is no directory".formatted(from));
      }
      send(from, placed(from, trailing, attributes.isDirectory(), to));
    } catch (NoSuchFileException e) {
      throw failed("%s does not exist".formatted(e.getFile()));
    } catch (IOException e) {
      throw failed("cannot read %s: %s".formatted(from, e));
    }
  }

  /**
   * How it is to be called there.
   *
   * @param root what comes before the path of each entry
   * @param withRoot whether the root itself is an entry
   */
  private record Placed(String path, boolean intoDirectory, String root, boolean withRoot) {}

  private Placed placed(Path from, Trailing trailing, boolean directory, String to) {
    Optional<FileEntry> there = CopyCommand.find(api, microVm, to);
    boolean into =
        there.map(FileEntry::getType).filter(FileEntry.Type.DIRECTORY::equals).isPresent();
    if (into) {
      return directory && trailing == Trailing.DOT
          ? new Placed(to, true, "", false)
          : new Placed(to, true, name(from), true);
    }
    if (there.isPresent() && directory) {
      throw failed("%s is a file in the guest, and %s a directory".formatted(to, from));
    }
    if (!directory && Trailing.of(to) != Trailing.NOTHING) {
      throw failed("%s is no directory in the guest".formatted(to));
    }
    return new Placed(to, false, "", true);
  }

  private static String name(Path path) {
    Path last = path.toAbsolutePath().normalize().getFileName();
    if (last == null) {
      throw failed("%s has no name: /. is what is in it".formatted(path));
    }
    return text(last);
  }

  /** What a request can say of it. What is no text would be another name as text. */
  private static String text(Path path) {
    String text = path.toString();
    try {
      if (Path.of(text).equals(path)) {
        return text;
      }
    } catch (InvalidPathException e) {
      // Nor is it one that can be written here.
    }
    throw new CommandException(
        ExitCode.FAILED, "the name '%s' is not UTF-8".formatted(text), "Give it another one.");
  }

  private void send(Path from, Placed placed) throws IOException {
    try (DuplexCall<CopyInRequest, CopyInResponse> call =
        new DuplexCall<>(responses -> api.microVmCalls().copyIn(responses))) {
      try {
        send(
            call,
            CopyInRequest.newBuilder()
                .setStart(
                    CopyInStart.newBuilder()
                        .setName(microVm)
                        .setPath(placed.path())
                        .setIntoDirectory(placed.intoDirectory())));
        Files.walkFileTree(from.toRealPath(), new Sender(call, from.toRealPath(), placed));
        call.halfClose();
      } catch (RefusedException e) {
        // The answer says why.
      }
      var _ = call.next();
    }
  }

  /** The call has ended: what it has ended with is to be read. */
  private static final class RefusedException extends IOException {
    private static final long serialVersionUID = 1L;
  }

  private static void send(
      DuplexCall<CopyInRequest, CopyInResponse> call, CopyInRequest.Builder request)
      throws RefusedException {
    if (!call.send(request.build())) {
      throw new RefusedException();
    }
  }

  private static CommandException failed(String problem) {
    return new CommandException(ExitCode.FAILED, problem, "");
  }

  private final class Sender extends SimpleFileVisitor<Path> {
    private final DuplexCall<CopyInRequest, CopyInResponse> call;
    private final Path top;
    private final Placed placed;

    Sender(DuplexCall<CopyInRequest, CopyInResponse> call, Path top, Placed placed) {
      this.call = call;
      this.top = top;
      this.placed = placed;
    }

    @Override
    public FileVisitResult preVisitDirectory(Path directory, BasicFileAttributes attributes)
        throws IOException {
      if (placed.withRoot() || !directory.equals(top)) {
        entry(directory, attributes, FileEntry.newBuilder().setType(FileEntry.Type.DIRECTORY));
      }
      return FileVisitResult.CONTINUE;
    }

    @Override
    public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
      if (attributes.isSymbolicLink()) {
        entry(
            file,
            attributes,
            FileEntry.newBuilder()
                .setType(FileEntry.Type.SYMBOLIC_LINK)
                .setLinkTarget(text(Files.readSymbolicLink(file))));
      } else if (attributes.isRegularFile()) {
        regular(file, attributes);
      } else {
        err.println("vireo: %s is neither file, directory nor link, and left out".formatted(file));
      }
      return FileVisitResult.CONTINUE;
    }

    private void regular(Path file, BasicFileAttributes attributes) throws IOException {
      try (InputStream content = Files.newInputStream(file)) {
        entry(
            file,
            attributes,
            FileEntry.newBuilder().setType(FileEntry.Type.REGULAR).setSize(attributes.size()));
        long left = attributes.size();
        while (left > 0) {
          byte[] data = content.readNBytes((int) Math.min(left, DATA_BYTES));
          if (data.length == 0) {
            throw new IOException("%s has become shorter meanwhile".formatted(file));
          }
          send(call, CopyInRequest.newBuilder().setData(ByteString.copyFrom(data)));
          progress.add(data.length);
          left -= data.length;
        }
      }
    }

    private void entry(Path path, BasicFileAttributes attributes, FileEntry.Builder entry)
        throws IOException {
      entry
          .setPath(path(path))
          .setModificationTime(Timestamps.of(attributes.lastModifiedTime().toInstant()));
      if (!attributes.isSymbolicLink()) {
        entry.setMode(Modes.of(Files.getPosixFilePermissions(path, LinkOption.NOFOLLOW_LINKS)));
      }
      send(call, CopyInRequest.newBuilder().setEntry(entry));
    }

    private String path(Path path) {
      String below = text(top.relativize(path));
      if (below.isEmpty() || placed.root().isEmpty()) {
        return placed.root() + below;
      }
      return placed.root() + "/" + below;
    }
  }
}
