package dev.vireo.controller.store;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.Key;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.util.Base64;
import java.util.List;

/**
 * A certificate of 127.0.0.1 for servers and clients, its own authority, made by the JDK's keytool.
 *
 * @param authority PEM file
 * @param certificate PEM file
 * @param key PEM file, PKCS#8
 */
record TestCertificates(Path authority, Path certificate, Path key) {
  private static final String PASSWORD = "changeit";

  static TestCertificates make(Path directory) throws Exception {
    Path store = directory.resolve("store.p12");
    run(
        List.of(
            Path.of(System.getProperty("java.home"), "bin", "keytool").toString(),
            "-genkeypair",
            "-alias",
            "test",
            "-keyalg",
            "EC",
            "-dname",
            "CN=test",
            "-validity",
            "1",
            "-ext",
            "SAN=ip:127.0.0.1",
            "-ext",
            "BC:c=ca:true",
            "-ext",
            "EKU=serverAuth,clientAuth",
            "-keystore",
            store.toString(),
            "-storepass",
            PASSWORD));
    KeyStore keys = KeyStore.getInstance(store.toFile(), PASSWORD.toCharArray());
    Certificate certificate = keys.getCertificate("test");
    Key key = keys.getKey("test", PASSWORD.toCharArray());
    Path certificateFile =
        pem(directory.resolve("certificate.pem"), "CERTIFICATE", certificate.getEncoded());
    Path keyFile = pem(directory.resolve("key.pem"), "PRIVATE KEY", key.getEncoded());
    return new TestCertificates(certificateFile, certificateFile, keyFile);
  }

  private static Path pem(Path file, String kind, byte[] content) throws IOException {
    String text = Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(content);
    return Files.writeString(
        file, "-----BEGIN %s-----%n%s%n-----END %s-----%n".formatted(kind, text, kind));
  }

  private static void run(List<String> command) throws IOException, InterruptedException {
    Process process = new ProcessBuilder(command).inheritIO().start();
    if (process.waitFor() != 0) {
      throw new IOException(command + " failed");
    }
  }
}
