package dev.vireo.controller.server;

import dev.vireo.controller.store.StoreException;
import io.quarkus.runtime.Quarkus;
import io.quarkus.runtime.QuarkusApplication;
import io.quarkus.runtime.annotations.QuarkusMain;
import java.net.BindException;
import org.jspecify.annotations.Nullable;

/** Starts the controller. What an operator can mend is told in one line, with exit code 1. */
@QuarkusMain
public class Main implements QuarkusApplication {
  public static void main(String... arguments) {
    Quarkus.run(Main.class, Main::onExit, arguments);
  }

  @Override
  public int run(String... arguments) {
    Quarkus.waitForExit();
    return 0;
  }

  private static void onExit(int exitCode, @Nullable Throwable error) {
    if (error != null) {
      System.err.println("vireo controller: cannot start: " + explain(error));
    }
    System.exit(exitCode);
  }

  private static String explain(Throwable error) {
    for (Throwable cause = error; cause != null; cause = cause.getCause()) {
      if (cause instanceof StoreException
          || cause instanceof StartupException
          || cause instanceof BindException) {
        return String.valueOf(cause.getMessage());
      }
    }
    error.printStackTrace();
    return error.toString();
  }
}
