package dev.vireo.images;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * What a kernel module says of itself: the strings of its ELF section {@code .modinfo}
 * (include/linux/module.h, {@code MODULE_INFO}).
 *
 * @param dependencies modules whose symbols it uses, {@code depends=}
 * @param preDependencies modules to be loaded before it where they exist, {@code softdep=pre:}
 */
record ModuleInfo(List<String> dependencies, List<String> preDependencies) {
  private static final int ELF64_SECTION_HEADER_SIZE = 64;

  ModuleInfo {
    dependencies = List.copyOf(dependencies);
    preDependencies = List.copyOf(preDependencies);
  }

  /**
   * Reads a 64-bit little-endian module.
   *
   * @throws IllegalArgumentException if it is not one, or is cut short
   */
  static ModuleInfo parse(byte[] module) {
    try {
      return ofStrings(modinfo(ByteBuffer.wrap(module).order(ByteOrder.LITTLE_ENDIAN)));
    } catch (IndexOutOfBoundsException e) {
      throw new IllegalArgumentException("the module is cut short", e);
    }
  }

  private static ModuleInfo ofStrings(String modinfo) {
    List<String> dependencies = new ArrayList<>();
    List<String> preDependencies = new ArrayList<>();
    for (String entry : modinfo.split("\0", -1)) {
      if (entry.startsWith("depends=")) {
        dependencies.addAll(words(entry.substring("depends=".length()), ","));
      } else if (entry.startsWith("softdep=pre:")) {
        String names = entry.substring("softdep=pre:".length()).replaceFirst("post:.*", "");
        preDependencies.addAll(words(names, " "));
      }
    }
    return new ModuleInfo(dependencies, preDependencies);
  }

  private static List<String> words(String text, String separator) {
    List<String> words = new ArrayList<>(List.of(text.strip().split(separator, -1)));
    words.removeIf(String::isBlank);
    return words;
  }

  private static String modinfo(ByteBuffer elf) {
    if (elf.getInt(0) != 0x464c457f || elf.get(4) != 2) {
      throw new IllegalArgumentException("not a 64-bit ELF file");
    }
    int sectionHeaders = Math.toIntExact(elf.getLong(0x28));
    int sections = Short.toUnsignedInt(elf.getShort(0x3c));
    int names =
        Math.toIntExact(
            elf.getLong(
                sectionHeaders
                    + Short.toUnsignedInt(elf.getShort(0x3e)) * ELF64_SECTION_HEADER_SIZE
                    + 0x18));
    for (int i = 0; i < sections; i++) {
      int header = sectionHeaders + i * ELF64_SECTION_HEADER_SIZE;
      if (isModinfo(elf, names + elf.getInt(header))) {
        byte[] content = new byte[Math.toIntExact(elf.getLong(header + 0x20))];
        elf.get(Math.toIntExact(elf.getLong(header + 0x18)), content);
        return new String(content, StandardCharsets.UTF_8);
      }
    }
    throw new IllegalArgumentException("no section .modinfo: not a kernel module");
  }

  private static boolean isModinfo(ByteBuffer elf, int nameOffset) {
    byte[] expected = ".modinfo\0".getBytes(StandardCharsets.US_ASCII);
    for (int i = 0; i < expected.length; i++) {
      if (nameOffset + i >= elf.limit() || elf.get(nameOffset + i) != expected[i]) {
        return false;
      }
    }
    return true;
  }
}
