// A user of the guest, by its /etc/passwd and /etc/group. To be used in a process of its own: files may be slow.
#pragma once

#include <limits.h>
#include <sys/types.h>

#include "failure.h"

#define MAX_GROUPS 256

struct account {
  uid_t uid;
  gid_t gid;
  char name[256], home[PATH_MAX];
  gid_t groups[MAX_GROUPS];
  size_t group_count;
};

// `user` is "user", "user:group", each by name or number, or "" for root. A number need not be in the files: its group is 0
// then, its home "". With a group that is the only one; otherwise those of the user. False, with why.
bool account_find(const char *user, struct account *account, struct failure *failure);
