#include "arguments.h"

#include <stddef.h>

#include "platform.h"

/* Behind `prefix` if `word` starts with it, else NULL. */
static const char *after(const char *word, const char *prefix) {
  while (*prefix != 0) {
    if (*word++ != *prefix++) return NULL;
  }
  return word;
}

static const char *next_word(const char *word) {
  while (*word != 0 && *word != ' ') word++;
  while (*word == ' ') word++;
  return word;
}

static const char *first_word(void) {
  const char *word = boot_command_line();
  while (*word == ' ') word++;
  return word;
}

/* The last one wins, so that a caller can override an image's default. */
static const char *find(const char *name) {
  const char *value = NULL;
  for (const char *word = first_word(); *word != 0; word = next_word(word)) {
    const char *rest = after(word, "probe.");
    rest = rest == NULL ? NULL : after(rest, name);
    if (rest != NULL && *rest == '=') value = rest + 1;
  }
  return value;
}

static uint64_t parse_number(const char *text, const char **end) {
  unsigned base = 10;
  if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
    base = 16;
    text += 2;
  }
  uint64_t value = 0;
  for (;; text++) {
    unsigned digit = (unsigned)(*text >= '0' && *text <= '9'   ? *text - '0'
                                : *text >= 'a' && *text <= 'f' ? *text - 'a' + 10
                                : *text >= 'A' && *text <= 'F' ? *text - 'A' + 10
                                                               : 16);
    if (digit >= base) break;
    value = value * base + digit;
  }
  *end = text;
  return value;
}

bool argument_is(const char *name, const char *value, const char *fallback) {
  const char *given = find(name);
  const char *rest = after(given == NULL ? fallback : given, value);
  return rest != NULL && (*rest == 0 || *rest == ' ');
}

uint64_t argument_number(const char *name, uint64_t fallback) {
  const char *text = find(name);
  return text == NULL ? fallback : parse_number(text, &text);
}

static uint64_t parse_size(const char *text, const char **end) {
  uint64_t size = parse_number(text, end);
  switch (**end) {
    case 'K': case 'k': ++*end; return size << 10;
    case 'M': case 'm': ++*end; return size << 20;
    default: return size;
  }
}

bool argument_device_window(unsigned n, struct device_window *window) {
  for (const char *word = first_word(); *word != 0; word = next_word(word)) {
    const char *text = after(word, "virtio_mmio.device=");
    if (text == NULL) continue;
    window->size = parse_size(text, &text);
    if (*text != '@') continue;
    window->base = parse_number(text + 1, &text);
    if (*text != ':') continue;
    window->irq = (uint32_t)parse_number(text + 1, &text);
    if (n-- == 0) return true;
  }
  return false;
}

/* Dotted decimals, and the comma behind. */
static const char *parse_address(const char *text, uint32_t *address) {
  *address = 0;
  for (unsigned i = 0; i < 4; i++) {
    *address = *address << 8 | (uint32_t)parse_number(text, &text);
    if (*text == '.' || *text == ',') text++;
  }
  return text;
}

bool argument_network(uint32_t *address, uint32_t *gateway) {
  for (const char *word = first_word(); *word != 0; word = next_word(word)) {
    const char *text = after(word, "vireo.net=");
    if (text == NULL) continue;
    while (*text != 0 && *text != ' ' && *text != ',') text++;
    if (*text != ',') return false;
    parse_address(parse_address(text + 1, address), gateway);
    return true;
  }
  return false;
}
