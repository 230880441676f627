package dev.vireo.controller.store;

import com.google.protobuf.ByteString;
import dev.vireo.controller.store.StoreException.Unusable;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What says of the keys under a prefix that they are Vireo's, in which format, and whose. */
record EtcdMarker(int format, String cluster) {
  private static final Pattern TEXT = Pattern.compile("vireo format (\\d+), cluster ([^ ]+)( .*)?");

  ByteString bytes() {
    return ByteString.copyFromUtf8("vireo format %d, cluster %s".formatted(format, cluster));
  }

  /**
   * Refuses what this release or this cluster must not touch.
   *
   * @throws Unusable if the marker found is another one
   */
  void check(ByteString found, EtcdOptions options) {
    String place = "the etcd %s, under %s,".formatted(options.place(), options.prefix());
    Matcher text = TEXT.matcher(found.toStringUtf8());
    if (!text.matches()) {
      throw unusable(place + " has data that is not Vireo's", "choose another prefix");
    }
    if (!text.group(2).equals(cluster)) {
      throw unusable(
          place + " has the data of the cluster '%s'".formatted(text.group(2)),
          "this is '%s': choose another prefix, or that cluster's name".formatted(cluster));
    }
    if (Long.parseLong(text.group(1)) > format) {
      throw unusable(
          place + " was written by a newer release (format %s)".formatted(text.group(1)),
          "this one knows %d: run that release".formatted(format));
    }
  }

  private static Unusable unusable(String finding, String remedy) {
    return new Unusable("%s; nothing was changed; %s".formatted(finding, remedy), null);
  }
}
