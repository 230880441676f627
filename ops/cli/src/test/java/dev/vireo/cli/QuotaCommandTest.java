package dev.vireo.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** What a project may have. */
final class QuotaCommandTest {
  private final FakeController controller = new FakeController();
  private final Cli cli = new Cli(controller);

  @AfterEach
  void stop() {
    controller.close();
  }

  @Test
  void setReplacesAllLimitsAndGetShowsThemBesideWhatIsUsed() {
    assertEquals(ExitCode.OK, cli.run("quota", "set", "--microvms", "10", "--memory", "4G"));
    assertEquals(ExitCode.OK, cli.run("quota", "get"));
    assertEquals(
        """
                  USED      LIMIT
        microVMs  2         10
        vCPUs     3         none
        memory    1536 MiB  4 GiB
        """,
        cli.out());

    assertEquals(ExitCode.OK, cli.run("quota", "set", "--vcpus", "0", "--project", "p"));
    assertEquals(
        """
                  USED      LIMIT
        microVMs  2         none
        vCPUs     3         0
        memory    1536 MiB  none
        """,
        cli.out());
    cli.run("quota", "get", "--project", "p", "-o", "name");
    assertEquals("projects/p/quota\n", cli.out());
  }
}
