package dev.vireo.cli;

import dev.vireo.proto.errors.ErrorReason;
import dev.vireo.proto.errors.Errors;
import dev.vireo.proto.v1.CopyOutRequest;
import dev.vireo.proto.v1.FileEntry;
import io.grpc.Context;
import io.grpc.StatusRuntimeException;
import java.nio.file.Path;
import java.util.Objects;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import picocli.CommandLine.TypeConversionException;

/** {@code vireo cp}. */
@Command(
    name = "cp",
    customSynopsis = {"vireo cp [OPTIONS] NAME:PATH PATH", "vireo cp [OPTIONS] PATH NAME:PATH"},
    description = {
      "Copies files out of a microVM's guest, or into it.",
      "Into a directory that exists, a file or directory is copied by its name; DIR/. is what is in"
          + " DIR. Otherwise it gets the destination's name. Symbolic links below SRC are copied as"
          + " links. In the guest files become root's; here they become yours."
    })
final class CopyCommand implements Callable<Integer> {
  private final Environment environment;

  @Spec private @Nullable CommandSpec spec;

  @Mixin private final ServerOptions server = new ServerOptions();

  @Parameters(
      index = "0",
      paramLabel = "SRC",
      converter = ToPlace.class,
      description = "NAME:PATH, absolute, in the guest of that name; or PATH, on this machine.")
  private Place source = new Place.Here(Path.of(""), "");

  @Parameters(
      index = "1",
      paramLabel = "DST",
      converter = ToPlace.class,
      description = "The same. One of the two is in a guest.")
  private Place destination = new Place.Here(Path.of(""), "");

  /** Where something is copied from or to. */
  sealed interface Place {
    /** On this machine, and as it was written. */
    record Here(Path path, String written) implements Place {}

    /** In the guest of this microVM. */
    record InGuest(String name, String path) implements Place {}
  }

  /** A name has no slash, but a whole resource name may be one too. */
  static final class ToPlace implements ITypeConverter<Place> {
    @Override
    public Place convert(String text) {
      int colon = text.indexOf(':');
      String name = colon < 0 ? "" : text.substring(0, colon);
      if (name.isEmpty() || (name.contains("/") && !name.startsWith("projects/"))) {
        return new Place.Here(Path.of(text), text);
      }
      String path = text.substring(colon + 1);
      if (!path.startsWith("/")) {
        throw new TypeConversionException("'%s': a path in a guest is absolute".formatted(text));
      }
      return new Place.InGuest(name, path);
    }
  }

  CopyCommand(Environment environment) {
    this.environment = environment;
  }

  @Override
  public Integer call() {
    try (Api api = server.connect(environment);
        CopyProgress progress = new CopyProgress(environment)) {
      if (source instanceof Place.Here(Path from, String written)
          && destination instanceof Place.InGuest(String name, String path)) {
        new CopyIntoGuest(api, api.microVmName(name), environment.err(), progress)
            .copy(from, Trailing.of(written), path);
      } else if (source instanceof Place.InGuest(String name, String path)
          && destination instanceof Place.Here(Path to, String written)) {
        new CopyFromGuest(api, api.microVmName(name), progress)
            .copy(path, to, Trailing.of(written));
      } else {
        throw new ParameterException(
            Objects.requireNonNull(spec).commandLine(),
            "one of SRC and DST, and not both, is NAME:PATH");
      }
      return ExitCode.OK;
    }
  }

  /** What a path ends with says what is meant by it. */
  enum Trailing {
    NOTHING,
    /** It is a directory. */
    SLASH,
    /** What is in the directory. */
    DOT;

    static Trailing of(String path) {
      if (path.equals(".") || path.endsWith("/.")) {
        return DOT;
      }
      return path.endsWith("/") ? SLASH : NOTHING;
    }
  }

  /** What there is at a path of a guest, by the first of what a copy of it would bring. */
  static Optional<FileEntry> find(Api api, String microVm, String path) {
    try (Context.CancellableContext look = Context.current().withCancellation()) {
      return look.call(() -> {
        var entries =
            api.microVmStreams()
                .copyOut(CopyOutRequest.newBuilder().setName(microVm).setPath(path).build());
        return entries.hasNext()
            ? Optional.of(entries.next().getEntry())
            : Optional.<FileEntry>empty();
      });
    } catch (StatusRuntimeException e) {
      if (Errors.reasonOf(e).filter(ErrorReason.GUEST_NOT_FOUND::equals).isPresent()) {
        return Optional.empty();
      }
      throw e;
    } catch (Exception e) {
      throw new IllegalStateException(e);
    }
  }

  /** The last part of a path in a guest; empty for the root and for what has none. */
  static String baseName(String path) {
    Path last = Path.of(path).normalize().getFileName();
    return last == null ? "" : last.toString();
  }
}
