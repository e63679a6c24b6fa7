# Installs the Rollcall host agent on Windows: downloads it, checks its signature, enrolls this host,
# starts the service, and waits until the control plane sees the host online. Running it again is safe.
# Needs an elevated PowerShell, 5.1 or newer:
#
#   Invoke-WebRequest CONTROL_PLANE/install/install.ps1 -UseBasicParsing | Invoke-Expression
#
# Saved as a file it takes -TokenFile, -Url, -Name, -Label, -Uninstall, -Decommission and -Purge.
# Environment, every name optional. A switch is 1, true, yes or on, or 0, false, no or off, in upper or
# lower case; anything else is refused before anything is done:
#   ROLLCALL_TOKEN_FILE           a file with the enrollment token; without any token it is asked for
#   ROLLCALL_TOKEN                the token itself; RM_TOKEN and INSTALL_TOKEN are the same
#   ROLLCALL_URL                  the control plane, stage included; else RM_SERVER, else BACKEND_URL,
#                                 else the one that served this script
#   ROLLCALL_RELEASE_KEY_SHA256   the fingerprint that the release key must have (shown when a token is
#                                 minted); without it the one that came with this script is used
#   ROLLCALL_AGENT_VERSION        this version of the agent instead of the newest
#   ROLLCALL_FORCE_REENROLL       switch: give an enrolled host a new identity; RM_FORCE_REENROLL is the same
#   ROLLCALL_CA_BUNDLE            a PEM file with certificates that the agent trusts besides the public
#                                 ones; this script itself trusts what Windows trusts
#   ROLLCALL_ALLOW_HTTP           switch: allow plain HTTP to another host than this one
#   ROLLCALL_SELF_UPGRADE         switch: whether the agent may upgrade itself; written down for it
#   ROLLCALL_NO_SERVICE           switch: install no service; say how to start the agent
#   ROLLCALL_WAIT_SECONDS         how long to wait for the first accepted heartbeat (90)
#   ROLLCALL_UNINSTALL            switch: as -Uninstall
#   HTTPS_PROXY                   the proxy to download through; else the one that Windows is set to

function Install-RollcallAgent {
    [CmdletBinding()]
    param(
        [string]$TokenFile = $env:ROLLCALL_TOKEN_FILE,
        [string]$Url,
        [Alias('Name')][string]$AgentName,
        [string[]]$Label = @(),
        [switch]$Uninstall,
        [switch]$Decommission,
        [switch]$Purge
    )

    Set-StrictMode -Version 3
    $ErrorActionPreference = 'Stop'
    # The bar of Windows PowerShell slows a download down to a tenth.
    $ProgressPreference = 'SilentlyContinue'
    # Windows PowerShell would put a byte order mark before what it pipes into a program.
    $OutputEncoding = New-Object System.Text.ASCIIEncoding

    $filledUrl = '@ROLLCALL_URL@'
    $filledKey = '@ROLLCALL_RELEASE_KEY_SHA256@'
    $versionForm = '^[0-9A-Za-z][0-9A-Za-z.+-]{0,63}$'
    $switches = 'ROLLCALL_UNINSTALL', 'ROLLCALL_NO_SERVICE', 'ROLLCALL_FORCE_REENROLL', 'RM_FORCE_REENROLL', 'ROLLCALL_ALLOW_HTTP', 'ROLLCALL_SELF_UPGRADE', 'ROLLCALL_SUPERVISED'
    $ourName = '^(ROLLCALL_.*|BYTEOR_API_BASE_URL|RM_SERVER|BACKEND_URL|RM_TOKEN|INSTALL_TOKEN|BYTEOR_AGENT_ID|BYTEOR_AGENT_API_KEY|RM_AGENT_TOKEN|SENSOR_TOKEN|RM_FORCE_REENROLL|SENSOR_PORT)$'
    # Characters that cannot be seen, or look like a plain blank, quote or equals sign and are none.
    $marks = '[\u0080-\u00a0\u00ab\u00ad\u00bb\u034f\u061c\u1680\u180e\u2000-\u200f\u2018-\u201f\u2028-\u202f\u2039\u203a\u205f-\u206f\u3000\ufe00-\ufe0f\ufeff\uff02\uff07\uff1d\ufff9-\ufffb]|\udb40[\udc00-\udfff]'
    $byteOrderMark = [string][char]0xfeff
    $latin1 = [System.Text.Encoding]::GetEncoding(28591)

    $programs = Join-Path $env:ProgramFiles 'Rollcall'
    $binary = Join-Path $programs 'rollcall-agent.exe'
    $data = Join-Path $env:ProgramData 'Rollcall'
    $config = Join-Path $data 'agent.env'
    $caFile = Join-Path $data 'ca.pem'
    # There while an installation is under way. It holds the agent id that the host had before, and the
    # fingerprint of the token that is to replace it.
    $unfinished = Join-Path $data 'install.unfinished'

    function Write-Line([string]$Line) { Write-Output "rollcall: $Line" }

    function Get-FirstSet([string[]]$Values) {
        foreach ($value in $Values) { if ($value) { return $value } }
        return ''
    }

    # Runs the agent with its lines on the screen, and gives its exit code alone.
    function Invoke-Agent([string[]]$Arguments, [string]$Token) {
        if ($Token) { $Token | & $binary @Arguments | Out-Host } else { & $binary @Arguments | Out-Host }
        return $LASTEXITCODE
    }

    # One rule for scripts, agent and command line. Gives '1', '0', or '' where it is not set.
    function Read-Switch([string]$Name, [string]$Value, [string]$Place) {
        $written = $Value.Trim()
        if ($written -eq '') { return '' }
        if ($written -in '1', 'true', 'yes', 'on') { return '1' }
        if ($written -in '0', 'false', 'no', 'off') { return '0' }
        throw "$Name must be 1, true, yes or on, or 0, false, no or off. Next: correct it in $Place."
    }

    # Checks each one, also one that this run does not use, and hands it on as 1 or 0.
    function Assert-Switches {
        foreach ($name in $switches) {
            $value = Read-Switch $name ([string][Environment]::GetEnvironmentVariable($name)) 'the environment'
            if ($value) { [Environment]::SetEnvironmentVariable($name, $value) }
        }
    }

    # The lines of a file that a person may have written: in UTF-8, with or without a byte order mark.
    function Read-Lines([string]$File, [long]$Largest) {
        if ((Get-Item -LiteralPath $File -Force).Length -gt $Largest) { throw "$File is too large." }
        $bytes = [System.IO.File]::ReadAllBytes($File)
        $zero = [System.Array]::IndexOf($bytes, [byte]0)
        $number = 1
        for ($at = 0; $at -lt $zero; $at++) { if ($bytes[$at] -eq 10) { $number++ } }
        $isWide = $bytes.Length -ge 2 -and (($bytes[0] -eq 0xff -and $bytes[1] -eq 0xfe) -or ($bytes[0] -eq 0xfe -and $bytes[1] -eq 0xff))
        if ($isWide -or ($zero -ge 0 -and $number -eq 1)) { throw "$File, line 1: the file is UTF-16; save it as UTF-8." }
        if ($zero -ge 0) { throw "$File, line ${number}: it holds a NUL byte; save the file as UTF-8." }
        # What is not UTF-8 becomes U+FFFD, which no value holds.
        $text = [System.Text.Encoding]::UTF8.GetString($bytes)
        if ($text.StartsWith($byteOrderMark, [StringComparison]::Ordinal)) { $text = $text.Substring(1) }
        return , @($text.Split("`n") | ForEach-Object { $_ -replace '\r\z', '' })
    }

    # Why a text cannot be a value, or nothing.
    function Get-Fault([string]$Text) {
        if ($Text -match '[\x00-\x08\x0a-\x1f\x7f]') { return 'it holds a control character' }
        if ($Text.IndexOf([char]0xfffd) -ge 0) { return 'its value is not UTF-8' }
        if ($Text -match $marks) { return 'it holds an invisible character, a special blank or a typographic quote' }
        return ''
    }

    # What stands behind an equals sign, up to a comment: plain text, '...' and "..." in any order.
    function Read-Value([string]$Raw, [string]$Place) {
        $value = New-Object System.Text.StringBuilder
        $quote = ''
        $blanks = ''
        $begun = $false
        $last = ''
        $fault = ''
        for ($at = 0; $at -lt $Raw.Length; $at++) {
            $letter = [string]$Raw[$at]
            if ($quote) {
                if ($letter -ceq $quote) { $quote = ''; continue }
                if ($letter -ceq '\' -and $quote -ceq '"') {
                    $at++
                    if ($at -eq $Raw.Length) { $fault = 'it ends with a backslash, and a setting does not go on in the next line'; break }
                    $letter = [string]$Raw[$at]
                    if ('"\$`'.IndexOf($letter) -lt 0) { [void]$value.Append('\') }
                }
                [void]$value.Append($letter)
                continue
            }
            if ($letter -ceq ' ' -or $letter -ceq "`t") { $blanks += $letter; continue }
            if ($letter -ceq '#' -and $blanks) { break }
            if ($begun) { [void]$value.Append($blanks) }
            $blanks = ''
            $begun = $true
            $last = $letter
            if ($letter -ceq "'" -or $letter -ceq '"') { $quote = $letter; $last = '' } else { [void]$value.Append($letter) }
        }
        if (-not $fault -and $quote) { $fault = 'a quote is not closed' }
        if (-not $fault -and $last -ceq '\') { $fault = 'it ends with a backslash, and a setting does not go on in the next line' }
        # Curly quotes are the better explanation of a straight one that is alone.
        $letters = $(if ($fault) { Get-Fault $Raw } else { Get-Fault $value.ToString() })
        $fault = Get-FirstSet @($letters, $fault)
        if ($fault) { throw "${Place}: $fault. Next: correct that line, then run this again. Nothing was changed." }
        return $value.ToString()
    }

    # What the env file sets. One that cannot be read is refused: a host that is enrolled must not be taken
    # for a new one.
    function Read-Settings {
        $found = @{}
        if (-not (Test-Path -LiteralPath $config)) { return $found }
        if (-not (Test-Path -LiteralPath $config -PathType Leaf)) { throw "$config is not a regular file." }
        $number = 0
        foreach ($line in (Read-Lines $config 1048576)) {
            $number++
            $start = $line.TrimStart(' ', "`t")
            if ($start -eq '' -or $start[0] -eq '#' -or $start[0] -eq ';') { continue }
            if ($line -cmatch '^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=') {
                $named = $Matches[1]
                if ($named -cnotmatch $ourName) { continue }
                $found[$named] = Read-Value $line.Substring($line.IndexOf('=') + 1) "$config, line $number"
                continue
            }
            if ($line -cmatch '^[ \t]*export(?:[ \t]+[A-Za-z_][A-Za-z0-9_]*)+[ \t]*(?:[ \t]#.*)?$') { continue }
            $hidden = '[\x00-\x08\x0a-\x1f\x7f]|' + $marks
            $words = ($line -replace $hidden, '') + ' ' + ($line -replace $hidden, ' ')
            foreach ($word in [regex]::Matches($words, '[A-Za-z_][A-Za-z0-9_]*')) {
                if ($word.Value -cnotmatch $ourName) { continue }
                $fault = Get-FirstSet @((Get-Fault $line), 'it is not NAME=VALUE')
                throw "$config, line ${number}: $fault. Next: correct that line, then run this again. Nothing was changed."
            }
        }
        return $found
    }

    function Get-Setting([string]$Name) { return [string](Read-Settings)[$Name] }

    # The only token of some lines: the token alone, or a line of an env file that sets it.
    function Read-Token([string[]]$Lines, [string]$Place) {
        $bare = ''
        $named = @{}
        $number = 0
        foreach ($line in $Lines) {
            $number++
            $start = $line.TrimStart(' ', "`t")
            if ($start -eq '' -or $start[0] -eq '#' -or $start[0] -eq ';') { continue }
            $here = "$Place, line $number"
            if ($start -cnotmatch '^rc[a-z]_' -and $line -cmatch '^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=') {
                $name = $Matches[1]
                if ($name -cnotmatch '^(ROLLCALL|RM|INSTALL)_TOKEN$') { continue }
                $found = Read-Value $line.Substring($line.IndexOf('=') + 1) $here
                $named[$name] = $found
            } else {
                $found = Read-Value $line $here
                if ($bare) { throw "${here}: there is more than one token." }
                $bare = $found
            }
            if ($found -match '[ \t]') { throw "${here}: there are blanks in the token." }
        }
        $assigned = Get-FirstSet @($named['ROLLCALL_TOKEN'], $named['RM_TOKEN'], $named['INSTALL_TOKEN'])
        if ($bare -and $assigned) { throw "${Place}: there is more than one token." }
        $token = Get-FirstSet @($bare, $assigned)
        if (-not $token) { throw "There is no enrollment token in $Place. Next: have one minted, and give it with ROLLCALL_TOKEN_FILE." }
        if ($token -cnotmatch '^rce_[A-Za-z0-9_.~+/=-]{1,4092}\z') { throw "What $Place holds is not an enrollment token (they start with rce_). Next: ask an operator to mint one." }
        return $token
    }

    # Appends, and never rewrites: an agent that rotates its key at this moment must not lose it.
    function Add-Setting([string]$Name, [string]$Value) {
        if ((Get-Setting $Name) -eq $Value) { return }
        if ($Value -match '[\x00-\x1f]') { throw "The value of $Name does not fit on a line of $config." }
        # A backslash stands for itself between single quotes, and a path of Windows is full of them.
        if ($Value -notmatch '^[A-Za-z0-9_.,:/@%+=~-]*$') { $Value = "'" + $Value.Replace("'", "'""'""'") + "'" }
        $before = ''
        if (Test-Path -LiteralPath $config) {
            $text = [System.IO.File]::ReadAllText($config)
            if ($text -and -not $text.EndsWith("`n")) { $before = "`n" }
        }
        [System.IO.File]::AppendAllText($config, "$before$Name=$Value`n")
    }

    # The agent's id where this host is enrolled: an id and a key are there, as the agent sees it too.
    function Get-AgentId {
        $keys = 'ROLLCALL_AGENT_API_KEY', 'BYTEOR_AGENT_API_KEY', 'RM_AGENT_TOKEN', 'SENSOR_TOKEN'
        if (-not (Get-FirstSet @($keys | ForEach-Object { Get-Setting $_ }))) { return '' }
        return Get-FirstSet @((Get-Setting 'ROLLCALL_AGENT_ID'), (Get-Setting 'BYTEOR_AGENT_ID'))
    }

    function Get-StoredToken {
        return Get-FirstSet @((Get-Setting 'ROLLCALL_TOKEN'), (Get-Setting 'RM_TOKEN'), (Get-Setting 'INSTALL_TOKEN'))
    }

    function Assert-Url([string]$Address) {
        if ($Address -match '\s') { throw 'The URL of the control plane holds blanks. It must be https://HOST[:PORT][/STAGE].' }
        if ($Address -match '[?#]') { throw 'The URL of the control plane must not have a query or a fragment (? or #).' }
        if ($Address -match '://[^/]*@') { throw 'The URL of the control plane must not hold a user name or a password.' }
        if ($Address -match '^https?://[^/]*\.execute-api\.[a-z0-9-]+\.amazonaws\.com(\.cn)?$') { throw "The URL of the control plane names no stage. Next: give it with the stage at its end, such as $Address/prod." }
        if ($Address.StartsWith('@')) { throw 'No control plane is known. Next: set ROLLCALL_URL.' }
        $form = '^(https?)://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]+)?(/[A-Za-z0-9._~/-]*)?$'
        if ($Address -notmatch $form) { throw 'The URL of the control plane must be https://HOST[:PORT][/STAGE].' }
        $isLoopback = $Matches[2] -match '^(localhost|127\.[0-9]+\.[0-9]+\.[0-9]+|\[::1\])$'
        if ($Address -clike 'http:*' -and -not $isLoopback -and (Get-FirstSet @($env:ROLLCALL_ALLOW_HTTP, (Read-Switch 'ROLLCALL_ALLOW_HTTP' (Get-Setting 'ROLLCALL_ALLOW_HTTP') $config))) -ne '1') {
            throw 'Plain HTTP shows the token to the network. Next: use https, or set ROLLCALL_ALLOW_HTTP=1.'
        }
    }

    function Save-Download([string]$Path, [string]$File) {
        $request = @{ Uri = "$Url$Path"; OutFile = $File; UseBasicParsing = $true; TimeoutSec = 1800 }
        if ($env:HTTPS_PROXY) { $request.Proxy = $env:HTTPS_PROXY }
        try {
            Invoke-WebRequest @request
        } catch {
            $said = "$($_.ErrorDetails) $($_.Exception.Message)"
            if ($said -match 'agent_not_published') {
                throw "This control plane has published no agent for windows $arch. Next: ask an operator to publish it."
            }
            throw "Cannot download from ${Url}: $($_.Exception.Message) Next: check the URL, its stage included, the proxy and the certificates."
        }
    }

    function Get-Sha256([byte[]]$Bytes) {
        $hash = [System.Security.Cryptography.SHA256]::Create()
        try { return $hash.ComputeHash($Bytes) } finally { $hash.Dispose() }
    }

    function ConvertTo-Hex([byte[]]$Bytes) {
        return [System.BitConverter]::ToString($Bytes).Replace('-', '').ToLowerInvariant()
    }

    # .NET wants r and s in 32 bytes each; a manifest holds them as a DER sequence of two integers.
    function ConvertFrom-Der([byte[]]$Der) {
        $numbers = New-Object byte[] 64
        if ($Der.Length -lt 8 -or $Der[0] -ne 0x30 -or $Der[1] -ne $Der.Length - 2) { throw 'The signature is malformed.' }
        $at = 2
        foreach ($end in 32, 64) {
            if ($at + 2 -gt $Der.Length -or $Der[$at] -ne 0x02) { throw 'The signature is malformed.' }
            $length = $Der[$at + 1]
            $from = $at + 2
            $at = $from + $length
            if ($at -gt $Der.Length) { throw 'The signature is malformed.' }
            while ($length -gt 1 -and $Der[$from] -eq 0) { $from++; $length-- }
            if ($length -lt 1 -or $length -gt 32) { throw 'The signature is malformed.' }
            [System.Array]::Copy($Der, $from, $numbers, $end - $length, $length)
        }
        if ($at -ne $Der.Length) { throw 'The signature is malformed.' }
        return , $numbers
    }

    function Test-Signature([byte[]]$Key, [byte[]]$Signed, [byte[]]$Signature) {
        # All that stands before the point of a P-256 key; CNG wants the point after a head of its own.
        $head = '3059301306072a8648ce3d020106082a8648ce3d03010703420004'
        if ($Key.Length -ne 91 -or (ConvertTo-Hex $Key[0..26]) -ne $head) { throw 'The release key is not one of P-256.' }
        [byte[]]$blob = @(0x45, 0x43, 0x53, 0x31, 32, 0, 0, 0) + $Key[27..90]
        $format = [System.Security.Cryptography.CngKeyBlobFormat]::EccPublicBlob
        $public = [System.Security.Cryptography.CngKey]::Import($blob, $format)
        $verifier = New-Object System.Security.Cryptography.ECDsaCng -ArgumentList $public
        try {
            return $verifier.VerifyHash((Get-Sha256 $Signed), (ConvertFrom-Der $Signature))
        } finally {
            $verifier.Dispose()
        }
    }

    # Gives version, size and SHA-256 of this platform's binary: nothing before the signature was verified.
    function Read-Manifest([string]$File) {
        $text = $latin1.GetString([System.IO.File]::ReadAllBytes($File))
        $form = '\A(rollcall-agent-manifest 1\n(?:[^\n]+\n)*key ([A-Za-z0-9+/=]+)\n)signature ([A-Za-z0-9+/=]+)\n\z'
        if ($text -notmatch $form) { throw 'The manifest is not one that this script understands. Nothing was installed.' }
        $signed = $Matches[1]
        $key = [System.Convert]::FromBase64String($Matches[2])
        $signature = [System.Convert]::FromBase64String($Matches[3])
        $wanted = (Get-FirstSet @($env:ROLLCALL_RELEASE_KEY_SHA256, $filledKey)).ToLowerInvariant()
        if ($wanted -notmatch '^[0-9a-f]{64}$') {
            throw 'No fingerprint of the release key is known. Next: set ROLLCALL_RELEASE_KEY_SHA256 to the one that was shown when the token was minted.'
        }
        $found = ConvertTo-Hex (Get-Sha256 $key)
        if ($found -ne $wanted) { throw "The manifest is signed with the key $found, not with $wanted. Nothing was installed." }
        if (-not (Test-Signature $key ($latin1.GetBytes($signed)) $signature)) {
            throw 'The signature of the manifest is wrong: it was altered. Nothing was installed.'
        }
        $versions = @([regex]::Matches($signed, '(?m)^version (\S+)$'))
        $files = @([regex]::Matches($signed, "(?m)^file windows $arch ([0-9]{1,9}) ([0-9a-f]{64})`$"))
        if ($versions.Count -ne 1 -or $versions[0].Groups[1].Value -notmatch $versionForm) { throw 'The manifest is malformed.' }
        $version = $versions[0].Groups[1].Value
        if ($env:ROLLCALL_AGENT_VERSION -and $version -cne $env:ROLLCALL_AGENT_VERSION) {
            throw 'The manifest is of another version than the one that was asked for. Nothing was installed.'
        }
        if ($files.Count -ne 1) { throw "Version $version has not been published for windows $arch. Next: ask an operator to publish it." }
        return @{
            Version = $version; Key = $found
            Size = [long]$files[0].Groups[1].Value; Sha256 = $files[0].Groups[2].Value
        }
    }

    function Get-EnrollmentToken([string]$Given, [string]$Source) {
        if ($TokenFile) {
            # It is not repeated: it is a token that stands where the name of its file belongs.
            if ((Split-Path -Leaf $TokenFile) -clike 'rce_*') { throw 'The token file is named by what looks like a token. Next: write the token to a file, and name that file.' }
            $path = (Resolve-Path -LiteralPath $TokenFile).ProviderPath
            return Read-Token (Read-Lines $path 65536) $path
        } elseif ($Given) {
            Write-Warning "The token came in $Source. Next time leave it out: this script asks for it and shows nothing."
            $token = $Given
        } elseif (Get-StoredToken) {
            return Read-Token @(Get-StoredToken) $config
        } elseif ([Environment]::UserInteractive) {
            $hidden = Read-Host -AsSecureString 'Enrollment token (not shown)'
            $pointer = [System.Runtime.InteropServices.Marshal]::SecureStringToBSTR($hidden)
            try {
                $token = [System.Runtime.InteropServices.Marshal]::PtrToStringBSTR($pointer)
            } finally {
                [System.Runtime.InteropServices.Marshal]::ZeroFreeBSTR($pointer)
            }
        } else {
            $token = ''
        }
        return Read-Token @($token -split '\r?\n') (Get-FirstSet @($Source, 'what was typed'))
    }

    # Asks whether the token would be taken, which spends nothing, before anything is downloaded.
    function Assert-Admitted([string]$Token) {
        $labels = @{}
        foreach ($item in $Label) { $labels[$item.Substring(0, $item.IndexOf('='))] = $item.Substring($item.IndexOf('=') + 1) }
        $said = @{ hostname = [Environment]::MachineName; labels = $labels }
        if ($AgentName) { $said.name = $AgentName }
        $body = [System.Text.Encoding]::UTF8.GetBytes((ConvertTo-Json $said -Compress))
        $request = @{
            Uri = "$Url/api/v1/agent-enrollment/check"; Method = 'Post'; Body = $body; ContentType = 'application/json'
            Headers = @{ Authorization = "Bearer $Token" }; UseBasicParsing = $true; TimeoutSec = 60; MaximumRedirection = 0
        }
        if ($env:HTTPS_PROXY) { $request.Proxy = $env:HTTPS_PROXY }
        try {
            $answer = Invoke-WebRequest @request
        } catch {
            $reason = "$($_.ErrorDetails)"
            if ($reason -notmatch '"code":\s*"([a-z_]+)"') { throw "Cannot ask $Url about the token: $($_.Exception.Message) Nothing was downloaded. Next: check the URL, its stage included, the proxy and the certificates." }
            $code = $Matches[1]
            if ($code -eq 'route_not_found') { return }
            # An enrollment with this token that was begun here may still give this host its agent.
            if ($code -in 'token_spent', 'token_expired' -and (Get-Setting 'ROLLCALL_ENROLLMENT_TOKEN_SHA256') -eq $fingerprint) { return }
            throw "Enrollment would be refused: $code. Nothing was downloaded. Next: a token that expired, was spent or revoked stays so: have a fresh one minted; else ask an operator."
        }
        if ("$($answer.Content)" -notmatch '"admits":\s*true') { throw "What answers at $Url is not the control plane. Next: check the URL, its stage included." }
        Write-Line 'the token admits this host.'
    }

    # For SYSTEM and Administrators alone, by their numbers: their names are translated.
    function New-PrivateFolder([string]$Folder) {
        if (-not (Test-Path -LiteralPath $Folder)) {
            # Restricted from its first moment on: what others put into it before would stay theirs.
            $security = New-Object System.Security.AccessControl.DirectorySecurity
            $security.SetSecurityDescriptorSddlForm('O:BAG:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)')
            if ($PSVersionTable.PSVersion.Major -ge 6) {
                $missing = New-Object System.IO.DirectoryInfo -ArgumentList $Folder
                [System.IO.FileSystemAclExtensions]::Create($missing, $security)
            } else {
                [System.IO.Directory]::CreateDirectory($Folder, $security) | Out-Null
            }
        }
        $owner = (Get-Acl -LiteralPath $Folder).GetOwner([System.Security.Principal.SecurityIdentifier]).Value
        # Every user may make folders in ProgramData, and could have left a configuration there.
        if ($owner -notin 'S-1-5-18', 'S-1-5-32-544') { throw "$Folder belongs to another user ($owner). Next: look into it, and remove it." }
        & icacls.exe $Folder /setowner '*S-1-5-32-544' /Q | Out-Null
        if ($LASTEXITCODE -ne 0) { throw "The owner of $Folder could not be set." }
        & icacls.exe $Folder /inheritance:r /grant:r '*S-1-5-18:(OI)(CI)F' '*S-1-5-32-544:(OI)(CI)F' /Q | Out-Null
        if ($LASTEXITCODE -ne 0) { throw "The access to $Folder could not be restricted." }
    }

    # A program that runs cannot be overwritten, but it can be renamed.
    function Install-Binary([string]$File) {
        New-Item -ItemType Directory -Force -Path $programs | Out-Null
        $staged = Join-Path $programs 'rollcall-agent.new.exe'
        $former = Join-Path $programs 'rollcall-agent.old.exe'
        Copy-Item -LiteralPath $File -Destination $staged -Force
        & $staged version | Out-Null
        if ($LASTEXITCODE -ne 0) { Remove-Item -LiteralPath $staged; throw 'The agent does not run on this host. Nothing was installed.' }
        if (Test-Path -LiteralPath $binary) { Move-Item -LiteralPath $binary -Destination $former -Force }
        Move-Item -LiteralPath $staged -Destination $binary
        Remove-Item -LiteralPath $former -ErrorAction SilentlyContinue
    }

    # What an earlier life of the agent left behind must not be taken for the one that is awaited.
    function Remove-State {
        $file = Get-FirstSet @((Get-Setting 'ROLLCALL_STATE_FILE'), (Join-Path $data 'agent.state.json'))
        if (-not (Test-Path -LiteralPath $file -PathType Leaf)) { return }
        # The setting may name any file of the host: only what the agent left is removed.
        $content = Get-Content -LiteralPath $file -Raw
        if (-not $content -or $content.StartsWith('{"state": ')) { Remove-Item -LiteralPath $file -Force }
    }

    function Wait-Online([DateTime]$Since) {
        Write-Line 'waiting for the first accepted heartbeat ...'
        $seconds = [int](Get-FirstSet @($env:ROLLCALL_WAIT_SECONDS, '90'))
        $ends = [DateTime]::UtcNow.AddSeconds($seconds)
        do {
            $status = & $binary status --json --config $config | Out-String
            if ($status.Trim().StartsWith('{')) {
                $last = ($status | ConvertFrom-Json).last_state
                if ($last -and $last.state -eq 'online' -and ([DateTime]$last.since).ToUniversalTime() -ge $Since) { return }
            }
            Start-Sleep -Seconds 1
        } while ([DateTime]::UtcNow -lt $ends)
        throw "After $seconds seconds the control plane has accepted no heartbeat of this host. Next: look at & '$binary' doctor, & '$binary' status and the service's log."
    }

    function Remove-Agent {
        $known = Get-AgentId
        if ($Decommission -and $known) {
            $code = Invoke-Agent @('decommission', '--yes', '--config', $config)
            if ($code -notin 0, 6, 7) { throw "The control plane was not told (exit code $code). Nothing was removed." }
        }
        if (Test-Path -LiteralPath $binary) {
            $code = Invoke-Agent @('service', 'uninstall')
            if ($code -ne 0) { throw 'The service could not be removed; the line above says why.' }
        } elseif (Get-Service -Name 'rollcall-agent' -ErrorAction SilentlyContinue) {
            Stop-Service -Name 'rollcall-agent' -Force
            & sc.exe delete rollcall-agent | Out-Null
        }
        # With what the agent's own upgrades keep beside it (.previous.exe, .failed.exe, .new.exe).
        if (Test-Path -LiteralPath $programs) { Remove-Item -LiteralPath $programs -Recurse -Force }
        Remove-Item -LiteralPath $unfinished -ErrorAction SilentlyContinue
        Write-Line "removed $programs and its service."
        if ($Purge) {
            if (Test-Path -LiteralPath $data) { Remove-Item -LiteralPath $data -Recurse -Force }
            Write-Line "removed $data."
        } else {
            Write-Line "left: $data (with the identity). -Purge removes it."
        }
        if ($known -and -not $Decommission) { Write-Line "the control plane still knows $known and will show it offline. An operator can decommission it." }
    }

    # Taken out of what every program below would inherit.
    $given = ''
    $givenIn = ''
    foreach ($name in 'INSTALL_TOKEN', 'RM_TOKEN', 'ROLLCALL_TOKEN') {
        $value = [Environment]::GetEnvironmentVariable($name)
        if ($value) { $given = $value; $givenIn = $name }
        [Environment]::SetEnvironmentVariable($name, $null)
    }

    Assert-Switches
    foreach ($item in $Label) { if ($item -cnotmatch '^[a-z0-9][a-z0-9._/-]{0,62}=') { throw '-Label takes KEY=VALUE.' } }
    if ($AgentName -and $AgentName -cnotmatch '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}\z') { throw '-Name: a name has letters, digits and ._- alone, 63 at most.' }
    $me = New-Object System.Security.Principal.WindowsPrincipal ([System.Security.Principal.WindowsIdentity]::GetCurrent())
    if (-not $me.IsInRole([System.Security.Principal.WindowsBuiltInRole]::Administrator)) {
        throw 'This writes to system places. Next: run it in an elevated PowerShell (Run as administrator).'
    }
    [Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12

    if ($Uninstall -or $env:ROLLCALL_UNINSTALL -eq '1') { Remove-Agent; return }
    if ($Decommission -or $Purge) { throw '-Decommission and -Purge go with -Uninstall.' }
    $Url = (Get-FirstSet @($Url, $env:ROLLCALL_URL, $env:RM_SERVER, $env:BACKEND_URL, $filledUrl)).Trim().TrimEnd('/')
    $Url = ($Url -replace '(/api/v1|/install/install\.ps1)$', '').TrimEnd('/')
    foreach ($item in $switches) { [void](Read-Switch $item (Get-Setting $item) $config) }
    Assert-Url $Url
    if ($env:ROLLCALL_AGENT_VERSION -and $env:ROLLCALL_AGENT_VERSION -notmatch $versionForm) { throw 'ROLLCALL_AGENT_VERSION is no version.' }
    $force = (Get-FirstSet @($env:ROLLCALL_FORCE_REENROLL, $env:RM_FORCE_REENROLL)) -eq '1'

    $identity = Get-AgentId
    if ($identity -and -not $force -and (Test-Path -LiteralPath $binary) -and -not (Test-Path -LiteralPath $unfinished)) {
        Write-Line "this host is enrolled already as $identity; nothing was changed. For a new identity: ROLLCALL_FORCE_REENROLL=1 and a new token."
        return
    }
    switch (Get-FirstSet @($env:PROCESSOR_ARCHITEW6432, $env:PROCESSOR_ARCHITECTURE)) {
        'AMD64' { $arch = 'x86_64' }
        'ARM64' { $arch = 'arm64' }
        default { throw "There is no agent for the architecture $_." }
    }
    # A replacement that a broken-off run had finished is not done twice, but a token of its own asks for
    # an identity of its own.
    $token = ''
    $fingerprint = ''
    $mustEnroll = -not $identity
    if ($mustEnroll -or $force) {
        $token = Get-EnrollmentToken $given $givenIn
        $known = [System.Text.Encoding]::UTF8.GetBytes((Get-FirstSet @($token, (Get-StoredToken))))
        # Half of a SHA-256: it tells tokens apart and is of no other use.
        $fingerprint = (ConvertTo-Hex (Get-Sha256 $known)).Substring(0, 32)
    }
    if ($identity -and $force) {
        $noted = @()
        if (Test-Path -LiteralPath $unfinished) { $noted = @([System.IO.File]::ReadAllLines($unfinished)) }
        $isDone = $noted.Count -ge 2 -and $noted[0] -ne $identity -and $noted[1] -eq $fingerprint
        $mustEnroll = -not $isDone
    }

    if ($mustEnroll) { Assert-Admitted $token }
    $fromFile = -not $TokenFile -and -not $given -and (Get-StoredToken)

    $temporary = Join-Path ([System.IO.Path]::GetTempPath()) ('rollcall-' + [Guid]::NewGuid().ToString('N'))
    New-PrivateFolder $temporary
    try {
        $asked = ''
        if ($env:ROLLCALL_AGENT_VERSION) { $asked = '?version=' + [Uri]::EscapeDataString($env:ROLLCALL_AGENT_VERSION) }
        $manifest = Join-Path $temporary 'manifest'
        Save-Download "/agent/manifest$asked" $manifest
        $release = Read-Manifest $manifest
        Write-Line "the release is signed with the key $($release.Key)."
        if (-not $env:ROLLCALL_RELEASE_KEY_SHA256) {
            Write-Line 'That fingerprint came with this script: compare it with the one that was shown when the token was minted, or pin it with ROLLCALL_RELEASE_KEY_SHA256.'
        }
        $download = Join-Path $temporary 'agent.exe'
        $version = [Uri]::EscapeDataString($release.Version)
        Save-Download "/agent/binary?os=windows&arch=$arch&version=$version" $download
        $hash = (Get-FileHash -Algorithm SHA256 -LiteralPath $download).Hash
        if ((Get-Item -LiteralPath $download).Length -ne $release.Size -or $hash -ne $release.Sha256) {
            throw 'The binary is not the one that the manifest names: it was cut or altered. Nothing was installed. Next: run this again.'
        }
        New-PrivateFolder $data
        # Written before the enrollment: what differs from it afterwards was finished.
        if ($mustEnroll -or -not (Test-Path -LiteralPath $unfinished)) {
            [System.IO.File]::WriteAllText($unfinished, "$identity`n$fingerprint`n")
        }
        Install-Binary $download
        Write-Line "installed $binary, version $($release.Version)."
    } finally {
        Remove-Item -LiteralPath $temporary -Recurse -Force -ErrorAction SilentlyContinue
    }

    Add-Setting 'ROLLCALL_RELEASE_KEY_SHA256' $release.Key
    if ($env:ROLLCALL_CA_BUNDLE) {
        # A copy: the original may be gone tomorrow.
        $bundle = (Resolve-Path -LiteralPath $env:ROLLCALL_CA_BUNDLE).ProviderPath
        if ($bundle -ne $caFile) { Copy-Item -LiteralPath $bundle -Destination $caFile -Force }
        $env:ROLLCALL_CA_BUNDLE = $caFile
        Add-Setting 'ROLLCALL_CA_BUNDLE' $caFile
    }
    # A service inherits nothing of this environment.
    foreach ($item in 'ROLLCALL_ALLOW_HTTP', 'ROLLCALL_SELF_UPGRADE') {
        $value = [Environment]::GetEnvironmentVariable($item)
        if ($value) { Add-Setting $item $value }
    }
    if ($mustEnroll) {
        $arguments = @('enroll', '--config', $config, '--url', $Url)
        if ($identity) { $arguments += '--replace' }
        if ($AgentName) { $arguments += '--name', $AgentName }
        foreach ($item in $Label) { $arguments += '--label', $item }
        if ($fromFile) { $token = '' } else { $arguments += '--token-stdin' } # the agent reads its own file
        $code = Invoke-Agent $arguments $token
        $token = ''
        switch ($code) {
            0 { break }
            3 { throw 'Enrollment was refused; the line above says why. Next: a token that expired, was spent or revoked (HTTP 410) stays so: have a fresh one minted, and run this again with it.' }
            4 { throw 'The control plane did not answer. Next: run this again with the same token; it is not lost.' }
            default { throw "The agent could not enroll (exit code $code); the line above says why." }
        }
    }
    $identity = Get-AgentId
    Remove-State
    if ($env:ROLLCALL_NO_SERVICE -eq '1') {
        $code = Invoke-Agent @('run', '--once', '--config', $config)
        if ($code -ne 0) { throw "The control plane did not accept a heartbeat (exit code $code). Next: & '$binary' doctor" }
        Write-Line "no service was installed. Start the agent with: & '$binary' run"
    } else {
        # What a running agent of the former identity writes until it is started anew is older than this.
        $since = [DateTime]::MinValue
        if ($force) { $since = [DateTime]::UtcNow.AddSeconds(-1) }
        $code = Invoke-Agent @('service', 'install', '--config', $config)
        if ($code -ne 0) { throw 'The service could not be installed; the line above says why. Next: run this again.' }
        Wait-Online $since
    }
    Remove-Item -LiteralPath $unfinished
    Write-Line "the control plane has accepted a heartbeat of this host: $identity is online."
}

# The braces: without its last one this is no program, so a download that was cut does nothing.
if ($true) { Install-RollcallAgent @args }
