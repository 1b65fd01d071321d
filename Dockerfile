# The operator's image: no shell, no package manager, not root, for amd64 and arm64.
# Built with `make image`; the base images are arguments, so that a mirror, or images made offline, can stand in.
ARG SDK_IMAGE=mcr.microsoft.com/dotnet/sdk:10.0-noble
ARG RUNTIME_IMAGE=mcr.microsoft.com/dotnet/runtime-deps:10.0-noble-chiseled

# Compiles on the building machine's own architecture, for the target's.
FROM --platform=$BUILDPLATFORM ${SDK_IMAGE} AS build
ARG TARGETARCH
ENV DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
WORKDIR /src
COPY global.json Directory.Build.props Directory.Packages.props BannedSymbols.txt .editorconfig ./
COPY operator/WebhookOperator.csproj operator/
COPY operator/Properties operator/Properties
# Where packages come from may need a NuGet.Config of one's own: --secret id=nuget,src=NuGet.Config
RUN --mount=type=secret,id=nuget,target=/root/.nuget/NuGet/NuGet.Config \
    case "${TARGETARCH:-$(uname -m)}" in \
      amd64 | x86_64) echo linux-x64 >/rid ;; \
      arm64 | aarch64) echo linux-arm64 >/rid ;; \
      *) echo "There is no image for ${TARGETARCH:-$(uname -m)}, only for amd64 and arm64." >&2; exit 1 ;; \
    esac \
    && dotnet restore operator -p:PublishProfile=Image -r "$(cat /rid)"
COPY config config
COPY operator operator
RUN dotnet publish operator --no-restore --configuration Release --nologo --verbosity quiet \
      -p:PublishProfile=Image -r "$(cat /rid)" --output /app \
    && mkdir -p /empty

FROM ${RUNTIME_IMAGE}
COPY --from=build /app /app
# For the SQLite store where no volume is mounted; group 0 may write, for platforms that choose the user id.
COPY --from=build --chown=1654:0 --chmod=0770 /empty /var/lib/webhook-operator
ENV WEBHOOK_OPERATOR_STORE=sqlite:/var/lib/webhook-operator/webhook-operator.db \
    DOTNET_EnableDiagnostics=0
EXPOSE 8080 9090
USER 1654
ENTRYPOINT ["/app/webhook-operator"]
