"""The test bed: three network namespaces, a private Postfix, segmilter before it, senders.

    client ──eth0─client── router ──server─eth0── server
    192.0.2.7              loss, rate, MSS         198.51.100.25: segmilter :25 ─► smtpd 127.0.0.1:10025
    2001:db8:1::7          tcpdump                 2001:db8:2::25

Everything is in one temporary folder and in namespaces whose names have this process's id. When the block `with Bed(...)` ends,
for whatever reason, all of it is stopped and removed. Needs root. Uses only Python's standard library. The files, from the
bottom up: netns, link, process, postfix, mta (other servers that send), segmilter, rights (what its processes may do), smtp (a
raw client), pcap (an independent reader), mail (what was delivered), testbed (all of it), machine (systemd as process 1), report
(what is printed).
"""
