#!/bin/sh
# Says what to do where the .NET 10 SDK is missing.
set -eu

if command -v dotnet >/dev/null && dotnet --list-sdks | grep -q '^10\.'; then
  exit 0
fi
cat >&2 <<'END'
This project is built with the .NET 10 SDK, and there is none on the PATH. On Debian 12:

  wget https://packages.microsoft.com/config/debian/12/packages-microsoft-prod.deb
  sudo dpkg -i packages-microsoft-prod.deb
  sudo apt-get update && sudo apt-get install -y dotnet-sdk-10.0

Other systems: https://dotnet.microsoft.com/download/dotnet/10.0
END
exit 1
