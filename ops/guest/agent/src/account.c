#include "account.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The fields of a line that end in a colon or the line's end; what is missing is "".
static void split(char *line, char **fields, size_t count) {
  line[strcspn(line, "\n")] = 0;
  for (size_t i = 0; i < count; i++) {
    fields[i] = line;
    line += strcspn(line, ":");
    if (*line) *line++ = 0;
  }
}

// passwd(5) and group(5).
enum { NAME = 0, ID = 2, GROUP_OF_USER = 3, MEMBERS = 3, HOME = 5, FIELDS = 7 };

static bool number(const char *text, uint32_t *value) {
  char *end;
  unsigned long parsed = strtoul(text, &end, 10);
  // The last one stands for "no change" in the calls that take it.
  if (*text < '0' || *text > '9' || *end || parsed >= UINT32_MAX) return false;
  *value = (uint32_t)parsed;
  return true;
}

// Calls `visit` with each line's fields until it returns false.
static void each_line(const char *path, bool (*visit)(char **fields, void *context), void *context) {
  FILE *file = fopen(path, "re");
  char *line = NULL, *fields[FIELDS];
  size_t room = 0;
  bool goes_on = file != NULL;
  while (goes_on && getline(&line, &room, file) > 0) {
    split(line, fields, FIELDS);
    goes_on = visit(fields, context);
  }
  free(line);
  if (file) fclose(file);
}

// --- users -------------------------------------------------------------------------------------------

struct user_search {
  const char *name;
  bool by_number, is_found;
  struct account *account;
};

static bool visit_user(char **fields, void *context) {
  struct user_search *search = context;
  struct account *account = search->account;
  uint32_t uid, gid;
  if (!number(fields[ID], &uid) || !number(fields[GROUP_OF_USER], &gid)) return true;
  if (search->by_number ? uid != account->uid : strcmp(fields[NAME], search->name) != 0) return true;
  account->uid = uid;
  account->gid = gid;
  snprintf(account->name, sizeof account->name, "%s", fields[NAME]);
  snprintf(account->home, sizeof account->home, "%s", fields[HOME]);
  search->is_found = true;
  return false;
}

static bool find_user(const char *user, struct account *account) {
  struct user_search search = {.name = user, .account = account};
  each_line("/etc/passwd", visit_user, &search);
  if (search.is_found) return true;
  search.by_number = number(user, &account->uid);
  if (search.by_number) each_line("/etc/passwd", visit_user, &search);
  return search.by_number;
}

// --- groups ------------------------------------------------------------------------------------------

struct group_search {
  const char *name;
  bool is_found;
  gid_t gid;
};

static bool visit_group(char **fields, void *context) {
  struct group_search *search = context;
  search->is_found = !strcmp(fields[NAME], search->name) && number(fields[ID], &search->gid);
  return !search->is_found;
}

static bool find_group(const char *group, gid_t *gid) {
  struct group_search search = {.name = group};
  each_line("/etc/group", visit_group, &search);
  if (search.is_found) *gid = search.gid;
  return search.is_found || number(group, gid);
}

static bool is_member(char *members, const char *name) {
  for (char *rest = members, *member; (member = strsep(&rest, ","));) {
    if (!strcmp(member, name)) return true;
  }
  return false;
}

static bool visit_membership(char **fields, void *context) {
  struct account *account = context;
  gid_t gid;
  if (is_member(fields[MEMBERS], account->name) && number(fields[ID], &gid) && gid != account->gid) {
    account->groups[account->group_count++] = gid;
  }
  return account->group_count < MAX_GROUPS;
}

bool account_find(const char *user, struct account *account, struct failure *failure) {
  char name[256];
  const char *colon = strchr(user, ':');
  const char *group = colon ? colon + 1 : "";
  snprintf(name, sizeof name, "%.*s", (int)(colon ? colon - user : (long)strlen(user)), user);
  *account = (struct account){0};
  if (!find_user(*name ? name : "0", account)) {
    *failure = failure_in("user", failure_of(Failure_NOT_FOUND, "there is no user \"%s\" in /etc/passwd", name));
    return false;
  }
  if (*group && !find_group(group, &account->gid)) {
    *failure = failure_in("user", failure_of(Failure_NOT_FOUND, "there is no group \"%s\" in /etc/group", group));
    return false;
  }
  account->groups[account->group_count++] = account->gid;
  if (!*group && *account->name) each_line("/etc/group", visit_membership, account);
  return true;
}
