package dev.vireo.cli;

import dev.vireo.cli.CopyCommand.Trailing;
import dev.vireo.proto.v1.CopyOutRequest;
import dev.vireo.proto.v1.CopyOutResponse;
import dev.vireo.proto.v1.FileEntry;
import io.grpc.Context;
import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Iterator;
import org.jspecify.annotations.Nullable;

/** Files of a guest, copied to this machine. */
final class CopyFromGuest {
  private final Api api;
  private final String microVm;
  private final CopyProgress progress;

  /**
   * @param microVm its resource name
   */
  CopyFromGuest(Api api, String microVm, CopyProgress progress) {
    this.api = api;
    this.microVm = microVm;
    this.progress = progress;
  }

  /** Copies a file or a directory, with all that is in it. */
  void copy(String from, Path to, Trailing trailing) {
    try (Context.CancellableContext call = Context.current().withCancellation();
        Cleanup cleanup = new Cleanup()) {
      call.run(() -> receive(from, to, trailing, cleanup));
    }
  }

  private void receive(String from, Path to, Trailing trailing, Cleanup cleanup) {
    Iterator<CopyOutResponse> responses =
        api.microVmStreams()
            .copyOut(CopyOutRequest.newBuilder().setName(microVm).setPath(from).build());
    if (!responses.hasNext()) {
      throw failed("the guest sent nothing of " + from);
    }
    CopyOutResponse first = responses.next();
    boolean directory = first.getEntry().getType() == FileEntry.Type.DIRECTORY;
    try (GuestTree tree = new GuestTree(top(from, directory, to, trailing))) {
      cleanup.add(tree::close);
      tree.take(first);
      while (responses.hasNext()) {
        CopyOutResponse next = responses.next();
        tree.take(next);
        progress.add(next.getData().size());
      }
      tree.finish();
    } catch (IOException e) {
      throw failed("cannot write what comes from the guest: " + reason(e));
    }
  }

  private static @Nullable String reason(IOException error) {
    return error instanceof FileAlreadyExistsException exists
        ? exists.getFile() + " is there, and is no directory"
        : error.getMessage();
  }

  /** Where the first entry goes. A link that the user names is followed; others are not. */
  private static Path top(String from, boolean directory, Path to, Trailing trailing)
      throws IOException {
    if (Files.isDirectory(to)) {
      String name = CopyCommand.baseName(from);
      boolean content = directory && (Trailing.of(from) == Trailing.DOT || name.isEmpty());
      return content ? to.toRealPath() : to.resolve(name);
    }
    if (Files.exists(to) && directory) {
      throw failed("%s is a file, and %s a directory".formatted(to, from));
    }
    if (!directory && trailing != Trailing.NOTHING) {
      throw failed("%s is no directory".formatted(to));
    }
    Path parent = to.toAbsolutePath().getParent();
    if (parent != null && !Files.isDirectory(parent)) {
      throw failed("%s does not exist".formatted(parent));
    }
    return to;
  }

  private static CommandException failed(String problem) {
    return new CommandException(ExitCode.FAILED, problem, "");
  }
}
