package dev.vireo.catalog;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class AcpiTablesTest {
  private static final int VCPUS = 2;

  private final AcpiTables acpi = AcpiTables.of(MmioPlan.X86_64.first(3), VCPUS);

  @Test
  void rsdpComesFirstAndLeadsToEveryTable() {
    TableReader rsdp = table("RSD PTR ");
    assertEquals(X86Platform.ACPI_REGION_BASE, acpi.rsdpAddress());
    assertEquals("RSD PTR ", rsdp.text(0, 8));
    assertEquals(0, rsdp.sum(0, 20), "checksum of the ACPI 1.0 part");
    assertEquals(0, rsdp.sum(0, 36), "extended checksum");

    TableReader xsdt = at(rsdp.u64(24), "XSDT");
    TableReader fadt = at(xsdt.u64(36), "FACP");
    at(xsdt.u64(44), "APIC");
    assertEquals(52, xsdt.length(), "two entries");
    at(fadt.u32(36), "FACS");
    at(fadt.u32(40), "DSDT");
    assertEquals(fadt.u32(40), fadt.u64(140), "DSDT by 32 and by 64 bits");
  }

  @Test
  void headersStateLengthAndAddUpToZero() {
    for (String signature : List.of("XSDT", "FACP", "APIC", "DSDT")) {
      TableReader table = table(signature);
      assertEquals(signature, table.text(0, 4));
      assertEquals(table.length(), table.u32(4), signature);
      assertEquals(0, table.sum(0, table.length()), signature);
    }
    assertEquals(64, table("FACS").u32(4));
    assertEquals(276, table("FACP").length(), "length of revision 6");
  }

  @Test
  void tablesDoNotOverlapAndStayInTheirRegion() {
    List<GuestTable> sorted =
        acpi.tables().stream().sorted(Comparator.comparingLong(GuestTable::address)).toList();
    long end = X86Platform.ACPI_REGION_BASE;
    for (GuestTable table : sorted) {
      assertTrue(table.address() >= end, table.toString());
      assertEquals(0, table.address() % 64, table.toString());
      end = table.address() + table.length();
    }
    assertTrue(end <= X86Platform.ACPI_REGION_END);
  }

  @Test
  void fixedHardwareIsTheMachines() {
    TableReader fadt = table("FACP");
    assertEquals(X86Platform.SCI_GSI, fadt.u16(46));
    assertEquals(X86Platform.PM1A_EVENT_PORT, fadt.u32(56));
    assertEquals(X86Platform.PM1A_EVENT_PORT, fadt.u64(148 + 4));
    assertEquals(X86Platform.PM1A_CONTROL_PORT, fadt.u32(64));
    assertEquals(X86Platform.PM1A_CONTROL_PORT, fadt.u64(172 + 4));
    assertEquals(X86Platform.RESET_PORT, fadt.u64(116 + 4));
    assertEquals(X86Platform.RESET_VALUE, fadt.u8(128));
    long flags = fadt.u32(112);
    assertEquals(0, flags & 1 << 4, "a power button in PM1, not in the DSDT");
    assertEquals(1 << 10, flags & 1 << 10, "the reset register counts");
    assertEquals(0, flags & 1 << 20, "not hardware-reduced");
    assertEquals(0, fadt.u16(109) & 1 << 1, "no keyboard controller");
  }

  @Test
  void madtNamesEachVcpuAndTheIoapic() {
    TableReader madt = table("APIC");
    assertEquals(X86Platform.LOCAL_APIC_BASE, madt.u32(36));
    int offset = 44;
    for (int vcpu = 0; vcpu < VCPUS; vcpu++, offset += 8) {
      assertEquals(0x0800, madt.u16(offset), "type and length");
      assertEquals(vcpu, madt.u8(offset + 2));
      assertEquals(vcpu, madt.u8(offset + 3));
      assertEquals(1, madt.u32(offset + 4), "enabled");
    }
    assertEquals(0x0c01, madt.u16(offset));
    assertEquals(X86Platform.IOAPIC_BASE, madt.u32(offset + 4));
    assertEquals(0, madt.u32(offset + 8), "first GSI");
  }

  @Test
  void refusesACountOfVcpusThatTheTablesCannotName() {
    List<DeviceSlot> none = List.of();
    assertThrows(IllegalArgumentException.class, () -> AcpiTables.of(none, 0));
    assertThrows(
        IllegalArgumentException.class, () -> AcpiTables.of(none, X86Platform.MAX_VCPUS + 1));
    AcpiTables.of(MmioPlan.X86_64.first(MmioPlan.X86_64.capacity()), X86Platform.MAX_VCPUS);
  }

  /** What Intel's disassembler, which shares its parser with Linux, makes of the tables. */
  @ParameterizedTest
  @ValueSource(strings = {"DSDT", "FACP", "APIC", "FACS"})
  void disassemblesToTheGoldenText(String signature, @TempDir Path directory) throws Exception {
    assumeTrue(iaslIsInstalled(), "iasl is not installed (package acpica-tools)");
    assertEquals(golden(signature), disassemble(signature, directory));
  }

  /** PkgLength takes one, two or three bytes; every count of devices must come out whole. */
  @Test
  void everyCountOfDevicesDisassembles(@TempDir Path directory) throws Exception {
    assumeTrue(iaslIsInstalled(), "iasl is not installed (package acpica-tools)");
    for (int count = 0; count <= MmioPlan.X86_64.capacity(); count++) {
      GuestTable dsdt = find(AcpiTables.of(MmioPlan.X86_64.first(count), 1), "DSDT");
      String text = disassemble(dsdt, directory);
      long nodes = text.lines().filter(line -> line.contains("\"LNRO0005\"")).count();
      assertEquals(count, nodes);
      assertTrue(text.contains("Name (_S5"), text);
    }
  }

  private String disassemble(String signature, Path directory) throws Exception {
    return disassemble(find(acpi, signature), directory);
  }

  private static String disassemble(GuestTable table, Path directory) throws Exception {
    Path binary = Files.write(directory.resolve("table.aml"), table.bytes());
    Process iasl =
        new ProcessBuilder("iasl", "-d", binary.toString())
            .directory(directory.toFile())
            .redirectErrorStream(true)
            .start();
    String log = new String(iasl.getInputStream().readAllBytes(), UTF_8);
    assertEquals(0, iasl.waitFor(), log);
    // The comment at the top names the file, the date and the disassembler's version.
    String text = Files.readString(directory.resolve("table.dsl"));
    return text.substring(text.indexOf("*/") + 2)
        .lines()
        .map(String::stripTrailing)
        .filter(line -> !line.isEmpty())
        .collect(Collectors.joining("\n", "", "\n"));
  }

  private static String golden(String signature) throws IOException {
    String name = signature.toLowerCase(java.util.Locale.ROOT) + ".dsl";
    try (InputStream in = AcpiTablesTest.class.getResourceAsStream(name)) {
      return new String(Objects.requireNonNull(in, name).readAllBytes(), UTF_8);
    }
  }

  private static boolean iaslIsInstalled() {
    return Arrays.stream(Objects.requireNonNullElse(System.getenv("PATH"), "").split(":"))
        .anyMatch(directory -> Files.isExecutable(Path.of(directory, "iasl")));
  }

  private TableReader table(String signature) {
    return new TableReader(find(acpi, signature).bytes());
  }

  private TableReader at(long address, String signature) {
    GuestTable table = find(acpi, signature);
    assertEquals(address, table.address(), signature);
    return new TableReader(table.bytes());
  }

  private static GuestTable find(AcpiTables acpi, String signature) {
    return acpi.tables().stream()
        .filter(table -> table.signature().equals(signature))
        .findFirst()
        .orElseThrow();
  }
}
