// Check of the store, the folder in which the memory process keeps what was judged. Mail never
// waits for it, so that nothing here is a failure.
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "milter/doctor/as_user.h"
#include "milter/doctor/check.h"
#include "milter/net/fd.h"

namespace doctor {
namespace {

constexpr std::chrono::seconds kLimit{5};
constexpr std::string_view kCost = "messages are labelled but not remembered";
constexpr std::string_view kAside = ".corrupt-";

std::string megabytes(std::uint64_t bytes) {
  return fmt::format("{:.1f} MB", static_cast<double>(bytes) / (1024.0 * 1024.0));
}

memory::Day today() {
  return std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now());
}

// Why the account cannot write there, as errno; 0: it can.
int why_not_writable(const Patient& patient, const Account& account, const std::string& folder) {
  const auto tried = [&folder] {
    return access(folder.c_str(), R_OK | W_OK | X_OK) == 0 ? 0 : errno;
  };
  if (!patient.root) return tried();
  return as_user(account, {}, kLimit, tried).value_or(ETIMEDOUT);
}

Finding judge_folder(const std::string& looked, const Account& account, const std::string& folder,
                     int error) {
  const auto make = fmt::format("install -d -o {} -g {} -m 0750 {}", account.name, account.group,
                                shell_word(folder));
  if (error == ENOENT)
    return warn(looked, fmt::format("the folder does not exist: {}", kCost), {make});
  return warn(
      looked,
      fmt::format("{} cannot write there ({}): {}", account.name, std::strerror(error), kCost),
      {make, fmt::format("chown -R {}:{} {}", account.name, account.group, shell_word(folder))});
}

std::optional<std::time_t> last_write(const std::string& folder, const memory::Uses& uses) {
  std::optional<std::time_t> last;
  for (const auto& [day, use] : uses) {
    for (const auto& file : use.files) {
      struct stat about {};
      if (file.find(kAside) != file.npos || file.ends_with("-shm")) continue;
      if (stat((folder + "/" + file).c_str(), &about) != 0) continue;
      last = std::max(last.value_or(0), about.st_mtime);
    }
  }
  return last;
}

StoreLook look_at(const std::string& folder) {
  StoreLook look;
  struct statvfs disk {};
  net::check(statvfs(folder.c_str(), &disk), "look at the disk of " + folder);
  look.uses = memory::uses(folder);
  look.free = std::uint64_t{disk.f_bavail} * disk.f_frsize;
  look.last_write = last_write(folder, look.uses);
  return look;
}

std::string remove_command(const std::string& folder, const std::vector<std::string>& files) {
  std::string command = "rm --";
  for (const auto& file : files) command += " " + shell_word(folder + "/" + file);
  return command;
}

std::string and_more(const std::vector<std::string>& files) {
  return files.size() > 1 ? fmt::format("{} and {} more", files.front(), files.size() - 1)
                          : files.front();
}

Finding judge_aside(const std::string& folder, const std::vector<std::string>& files) {
  return warn(
      fmt::format("the files in {}", folder),
      fmt::format("damaged and moved aside: {}. Their messages are missing from all lists, and "
                  "the files are removed after three days; check the disk for errors",
                  and_more(files)),
      {remove_command(folder, files)});
}

Finding judge_ahead(const std::string& folder, const std::vector<std::string>& files) {
  return warn(fmt::format("the files in {}", folder),
              fmt::format("of days in the future: {}. The clock was wrong when they were written, "
                          "or it is wrong now. They never become too old, and they keep their "
                          "addresses; if the clock is right now, remove them",
                          and_more(files)),
              {remove_command(folder, files)});
}

}  // namespace

Findings judge_store(const Patient& patient, const StoreLook& look, memory::Day today) {
  const auto& settings = patient.config.memory;
  Findings findings;
  std::vector<std::string> aside, ahead;
  std::uint64_t bytes = 0;
  for (const auto& [day, use] : look.uses) {
    bytes += use.bytes;
    std::copy_if(use.files.begin(), use.files.end(), std::back_inserter(aside),
                 [](const std::string& file) { return file.find(kAside) != file.npos; });
    if (memory::is_ahead(day, today)) {
      ahead.insert(ahead.end(), use.files.begin(), use.files.end());
    }
  }
  if (!aside.empty()) findings.push_back(judge_aside(settings.folder, aside));
  if (!ahead.empty()) findings.push_back(judge_ahead(settings.folder, ahead));
  const memory::Limits limits{settings.max_days, settings.max_bytes, settings.min_free};
  if (memory::plan(look.uses, look.free, limits, today).full) {
    findings.push_back(
        warn("memory.max_bytes, memory.min_free",
             fmt::format("the files of today alone are too large, or the disk has too little left "
                         "({} in {}, {} free): {}",
                         megabytes(bytes), settings.folder, megabytes(look.free), kCost)));
  }
  if (!findings.empty()) return findings;
  if (!look.last_write)
    return {ok(fmt::format("{}: no message was remembered yet", settings.folder))};
  return {ok(fmt::format("{}: {} day{}, {}, last written {:%Y-%m-%dT%H:%M:%SZ}, {} free",
                         settings.folder, look.uses.size(), look.uses.size() == 1 ? "" : "s",
                         megabytes(bytes), fmt::gmtime(*look.last_write), megabytes(look.free)))};
}

Findings check_store(const Patient& patient) {
  const auto& settings = patient.config.memory;
  if (!settings.enabled) return {};
  const auto looked = fmt::format("memory.folder {}", settings.folder);
  const auto account = find_account(patient.config.general.user);
  if (!account) {
    return {skip(looked, fmt::format("there is no user {}", patient.config.general.user))};
  }
  const int error = why_not_writable(patient, *account, settings.folder);
  if (error == EACCES && !patient.root) {
    return {skip(looked, "only root can test whether the memory process can write there")};
  }
  if (error != 0) return {judge_folder(looked, *account, settings.folder, error)};
  return judge_store(patient, look_at(settings.folder), today());
}

}  // namespace doctor
