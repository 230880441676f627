package dev.vireo.oci;

import static dev.vireo.images.ImageException.Reason.MANIFEST_INVALID;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import dev.vireo.images.ImageException;
import java.io.IOException;

/** JSON that others wrote. */
final class Json {
  private static final ObjectMapper MAPPER =
      new ObjectMapper().configure(SerializationFeature.ORDER_MAP_ENTRIES_BY_KEYS, true);

  private Json() {}

  /**
   * Reads a document.
   *
   * @param what it is, for people
   * @throws ImageException MANIFEST_INVALID
   */
  static JsonNode parse(byte[] json, String what) throws ImageException {
    try {
      JsonNode node = MAPPER.readTree(json);
      if (node.isContainerNode()) {
        return node;
      }
    } catch (IOException e) {
      throw new ImageException(
          MANIFEST_INVALID, "%s is not JSON: %s".formatted(what, e.getMessage()), e);
    }
    throw new ImageException(
        MANIFEST_INVALID, "%s is neither a JSON object nor a list".formatted(what));
  }

  /** A document; equal ones are written alike by every process. */
  static String write(Object value) {
    try {
      return MAPPER.writeValueAsString(value);
    } catch (IOException e) {
      throw new IllegalArgumentException(e);
    }
  }
}
