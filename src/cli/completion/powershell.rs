//! The script for PowerShell 5 and later.

use std::fmt::Write as _;

use super::tree::{Node, Offer};

const HEAD: &str = "\
# Completion of openclaw for PowerShell, made by: openclaw completion --shell powershell
$openclawCompleter = {
    param($wordToComplete, $commandAst, $cursorPosition)
    $at = ''
    $pending = ''
    $ended = $false
    $before = $commandAst.CommandElements | Select-Object -Skip 1 |
        Where-Object { $_.Extent.EndOffset -lt $cursorPosition -or
            ($wordToComplete -eq '' -and $_.Extent.EndOffset -le $cursorPosition) }
    foreach ($element in $before) {
        $word = $element.Extent.Text
        if ($pending) { $pending = ''; continue }
        if ($word -eq '--') { $ended = $true; continue }
        if ($word.StartsWith('-')) {
            if (-not $ended -and $takes[$at] -ccontains $word) { $pending = $word }
            continue
        }
        $deeper = \"$at $word\".Trim()
        if ($words.ContainsKey($deeper)) { $at = $deeper }
    }
    $lead = ''
    $part = $wordToComplete
    if (-not $pending -and -not $ended -and $part -like '--*=*') {
        $pending = $part.Split('=')[0]
        $lead = \"$pending=\"
        $part = $part.Substring($lead.Length)
    }
    $offers = @()
    if ($pending) { $offers = @($values[\"$at $pending\"] | ForEach-Object { ,@($_, $_) }) }
    elseif ($part.StartsWith('-')) { if (-not $ended) { $offers = $flags[$at] } }
    else { $offers = $words[$at] }
    foreach ($offer in $offers) {
        if ($offer -and $offer[0].StartsWith($part)) {
            [System.Management.Automation.CompletionResult]::new(
                \"$lead$($offer[0])\", $offer[0], 'ParameterValue', $offer[1])
        }
    }
}.GetNewClosure()
Register-ArgumentCompleter -Native -CommandName openclaw -ScriptBlock $openclawCompleter
";

/// The whole script: the tables first, for the block closes over them.
pub fn script(nodes: &[Node]) -> String {
    let (first, rest) = HEAD.split_once('\n').unwrap_or((HEAD, ""));
    let mut out = format!("{first}\n");
    let pair = |word: &str, about: &str| format!("@({}, {})", quoted(word), quoted(about));
    table(&mut out, "words", nodes, |node| {
        node.next.iter().map(|(word, about)| pair(word, about)).collect()
    });
    table(&mut out, "flags", nodes, |node| {
        node.flags.iter().map(|(flag, about)| pair(flag, about)).collect()
    });
    table(&mut out, "takes", nodes, |node| {
        node.takes.iter().map(|(flag, _)| quoted(flag)).collect()
    });
    out.push_str("$values = @{\n");
    for node in nodes {
        for (flag, offer) in &node.takes {
            if let Offer::Words(words) = offer {
                let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
                let at = quoted(&format!("{} {flag}", node.path));
                let _ = writeln!(out, "    {at} = @({})", words.join(", "));
            }
        }
    }
    out.push_str("}\n");
    out.push_str(rest);
    out
}

/// Each row ends in a comma that keeps an array of one pair an array of pairs.
fn table(out: &mut String, name: &str, nodes: &[Node], row: impl Fn(&Node) -> Vec<String>) {
    let _ = writeln!(out, "${name} = @{{");
    for node in nodes {
        let row = row(node);
        let comma = if row.len() == 1 { "," } else { "" };
        let _ = writeln!(out, "    {} = @({comma}{})", quoted(&node.path), row.join(", "));
    }
    out.push_str("}\n");
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
