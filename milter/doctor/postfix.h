// Postfix's settings, parsed from what postconf prints, and questions about them. Pure: doctor.cc
// runs postconf and passes its output in.
//
//     postconf -x                      mynetworks = 127.0.0.0/8 [::1]/128
//     postconf -M                      127.0.0.1:10025 inet n - n - - smtpd -o …
//     postconf -P                      127.0.0.1:10025/inet/smtpd_upstream_proxy_protocol = haproxy
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "milter/net/address.h"

namespace doctor {

// A line of master.cf.
struct Service {
  std::string name;     // "smtp", "127.0.0.1:10025"
  std::string type;     // "inet", "pass", "unix", …
  std::string chroot;   // "y", "n" or "-" (the default)
  std::string maxproc;  // "-": default_process_limit; "0": no limit
  std::string command;  // "smtpd", "postscreen"
  std::map<std::string, std::string, std::less<>> overrides;  // -o name=value

  std::string key() const { return name + "/" + type; }  // as in `postconf -M KEY`
};

class Postfix {
 public:
  // Lines that cannot be parsed are left out.
  static Postfix parse(std::string_view main, std::string_view services,
                       std::string_view overrides);

  const std::vector<Service>& services() const { return services_; }
  // The value in main.cf. Empty: not set, or this Postfix has no such setting.
  std::string_view value(std::string_view name) const;
  // The value that a service uses: its own -o, else main.cf's.
  std::string_view value(const Service& service, std::string_view name) const;

  // The inet service that takes connections to `address`; null: none.
  const Service* service_at(const net::Endpoint& address) const;
  // The service whose smtpd_* settings apply to a client of `entry`: `entry` itself, or if that is
  // postscreen, the smtpd to which postscreen passes clients on. null: master.cf has no such smtpd.
  const Service* smtpd_behind(const Service& entry) const;
  const Service* service(std::string_view name, std::string_view type) const;
  // True if the service runs in a chroot at queue_directory.
  bool chrooted(const Service& service) const;

 private:
  std::map<std::string, std::string, std::less<>> main_;
  std::vector<Service> services_;
};

// An inet service's name: "smtp", "10025", "127.0.0.1:10025", "[::1]:smtp", "localhost:25".
struct ServiceAddress {
  std::string host;  // empty: the addresses of inet_interfaces
  std::uint16_t port = 0;
};
std::optional<ServiceAddress> parse_service_name(std::string_view name);

// "300s", "5m", "2h", "1d", "1w"; a bare number is seconds.
std::optional<std::chrono::seconds> parse_time(std::string_view text);

// The networks of a list such as mynetworks. Tables and files in the list are counted, not read.
struct NetworkList {
  std::vector<net::Network> networks;
  std::size_t tables = 0;
  // The list has "!" entries, which Postfix excludes. They are not evaluated here.
  bool exclusions = false;
};
NetworkList parse_networks(std::string_view text);

// One milter of smtpd_milters: "inet:127.0.0.1:11332" or "{ unix:a.sock, default_action=accept }".
struct MilterEntry {
  std::string address;
  std::map<std::string, std::string, std::less<>> options;
  std::string text;  // the entry as it is written, with its braces
};
std::vector<MilterEntry> parse_milters(std::string_view text);

}  // namespace doctor
