-- /etc/rspamd/rspamd.local.lua: rspamd reads this file at its start. If you have one, add the line to it.
dofile(rspamd_paths['LOCAL_CONFDIR'] .. '/segmilter.lua')
