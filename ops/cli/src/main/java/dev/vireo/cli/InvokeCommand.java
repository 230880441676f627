package dev.vireo.cli;

import dev.vireo.proto.v1.HttpHeader;
import dev.vireo.proto.v1.InvokeStart;
import io.grpc.StatusRuntimeException;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code vireo invoke}. */
@Command(
    name = "invoke",
    description = {
      "Sends an HTTP request to a microVM's server.",
      "It reaches the guest with no network between. A microVM that is not ready yet is waited for;"
          + " when this command ends, so does the server's connection."
    },
    exitCodeOnInvalidInput = ExitCode.OF_VIREO,
    exitCodeList = {
      "0:it was answered",
      "22:with --fail, it was answered with a status of 400 or more",
      "125:it was not answered, or not as a whole: a failure of Vireo's or of the server's",
    })
final class InvokeCommand implements Callable<Integer> {
  private final Environment environment;

  @Spec private @Nullable CommandSpec spec;

  @Mixin private final ServerOptions server = new ServerOptions();

  @Option(
      names = {"-X", "--request"},
      paramLabel = "METHOD",
      description = "Default: GET, with --data POST.")
  private String method = "";

  @Option(
      names = {"-H", "--header"},
      paramLabel = "'NAME: VALUE'",
      description = "Repeatable.")
  private final List<String> headers = new ArrayList<>();

  @Option(
      names = {"-d", "--data"},
      paramLabel = "DATA|@FILE|@-",
      description =
          "The body, as it is: of no type unless a header says so. @-: standard input, as it comes.")
  private @Nullable String data;

  @Option(
      names = {"-i", "--include"},
      description = "Print the answer's status and headers before its body.")
  private boolean include;

  @Option(
      names = {"-f", "--fail"},
      description = "Of an answer with a status of 400 or more print nothing, and end with 22.")
  private boolean fail;

  @Option(
      names = "--port",
      paramLabel = "PORT",
      defaultValue = "0",
      description = "The guest's. Default: that of run --http.")
  private int port;

  @Option(
      names = "--timeout",
      paramLabel = "TIME",
      defaultValue = "1m",
      description =
          "For all of it, with the wait for a microVM that starts. Default: ${DEFAULT-VALUE}.")
  private Duration timeout = Duration.ofMinutes(1);

  @Parameters(index = "0", paramLabel = "NAME", description = "Of the microVM.")
  private String name = "";

  @Parameters(
      index = "1",
      arity = "0..1",
      paramLabel = "PATH",
      defaultValue = "/",
      description = "With its query. Default: ${DEFAULT-VALUE}.")
  private String path = "/";

  InvokeCommand(Environment environment) {
    this.environment = environment;
  }

  @Override
  public Integer call() {
    List<HttpHeader> parsed = headers.stream().map(this::parse).toList();
    try (Api api = server.connect(environment);
        InputStream body = body()) {
      InvokeStart.Builder start =
          InvokeStart.newBuilder()
              .setName(api.microVmName(name))
              .setMethod(method.isEmpty() && data != null ? "POST" : method)
              .setPath(path)
              .addAllHeaders(parsed)
              .setPort(port)
              .setTimeout(Converters.proto(timeout));
      long length = length();
      if (length >= 0 && parsed.stream().noneMatch(InvokeCommand::isLength)) {
        start.addHeaders(
            HttpHeader.newBuilder().setName("Content-Length").setValue(Long.toString(length)));
      }
      return new Invocation(api, environment, include, fail).run(start.build(), body);
    } catch (StatusRuntimeException | CommandException e) {
      var _ = new ErrorReport(environment.err()).print(e);
      return ExitCode.OF_VIREO;
    } catch (IOException e) {
      environment.err().println("error: the body cannot be read: " + e.getMessage());
      return ExitCode.OF_VIREO;
    }
  }

  private HttpHeader parse(String header) {
    int colon = header.indexOf(':');
    if (colon < 1) {
      throw new ParameterException(
          Objects.requireNonNull(spec).commandLine(),
          "a header is 'NAME: VALUE', not '%s'".formatted(header));
    }
    return HttpHeader.newBuilder()
        .setName(header.substring(0, colon).strip())
        .setValue(header.substring(colon + 1).strip())
        .build();
  }

  private static boolean isLength(HttpHeader header) {
    return header.getName().equalsIgnoreCase("content-length");
  }

  private boolean isStandardInput() {
    return "@-".equals(data);
  }

  /** A file is read once: what it becomes longer meanwhile is refused, as is what it lacks. */
  private InputStream body() throws IOException {
    if (data == null) {
      return InputStream.nullInputStream();
    }
    if (isStandardInput()) {
      return environment.in();
    }
    return data.startsWith("@")
        ? Files.newInputStream(Path.of(data.substring(1)))
        : new ByteArrayInputStream(data.getBytes(StandardCharsets.UTF_8));
  }

  /** Of the body; −1: it has none, or nobody knows. */
  private long length() throws IOException {
    if (data == null || isStandardInput()) {
      return -1;
    }
    if (!data.startsWith("@")) {
      return data.getBytes(StandardCharsets.UTF_8).length;
    }
    Path file = Path.of(data.substring(1));
    return Files.isRegularFile(file) ? Files.size(file) : -1;
  }
}
