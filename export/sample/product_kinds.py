"""Product types in the words of English, French, Spanish, German and Japanese sellers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A product type: English synonyms, then French, Spanish, German and Japanese."""

    synonyms: tuple[str, ...]
    foreign: tuple[str, str, str, str]


KINDS: dict[str, Kind] = {
    "night serum": Kind(
        ("night serum", "overnight face serum", "serum night treatment"),
        ("sérum de nuit", "sérum de noche", "Nachtserum", "ナイトセラム 美容液"),
    ),
    "face oil": Kind(
        ("face oil", "facial oil", "face oil drops"),
        ("huile visage", "aceite facial", "Gesichtsöl", "フェイスオイル"),
    ),
    "hydrating serum": Kind(
        ("hydrating serum", "moisturizing serum", "hydrating face serum"),
        ("sérum hydratant", "sérum hidratante", "Feuchtigkeitsserum", "保湿美容液"),
    ),
    "firming serum": Kind(
        ("firming serum", "lifting serum", "anti-age firming serum"),
        ("sérum fermeté", "sérum reafirmante", "straffendes Serum", "引き締め美容液"),
    ),
    "foundation": Kind(
        ("foundation", "liquid foundation", "foundation makeup"),
        ("fond de teint", "base de maquillaje", "Make-up Foundation", "リキッドファンデーション"),
    ),
    "hand wash": Kind(
        ("hand wash", "liquid hand soap", "hand wash pump"),
        ("savon liquide mains", "jabón de manos", "Handseife", "ハンドソープ"),
    ),
    "shampoo": Kind(
        ("shampoo", "hair shampoo", "daily shampoo"),
        ("shampooing", "champú", "Haarshampoo", "シャンプー"),
    ),
    "body lotion": Kind(
        ("body lotion", "body milk lotion", "moisturizing body lotion"),
        ("lait corporel", "loción corporal", "Körperlotion", "ボディローション"),
    ),
    "shower gel": Kind(
        ("shower gel", "body wash", "bath & shower gel"),
        ("gel douche", "gel de ducha", "Duschgel", "シャワージェル"),
    ),
    "conditioner": Kind(
        ("conditioner", "hair conditioner", "rinse-out conditioner"),
        ("après-shampooing", "acondicionador", "Haarspülung", "コンディショナー"),
    ),
    "toner": Kind(
        ("toner", "face toner", "toning lotion"),
        ("lotion tonique", "tónico facial", "Gesichtswasser", "化粧水"),
    ),
    "sunscreen": Kind(
        ("sunscreen", "sun cream SPF50", "face sunscreen"),
        ("crème solaire", "protector solar", "Sonnencreme", "日焼け止め"),
    ),
    "face mask": Kind(
        ("face mask", "clay mask", "clay face mask"),
        ("masque visage", "mascarilla facial", "Gesichtsmaske", "フェイスマスク"),
    ),
    "hand cream": Kind(
        ("hand cream", "hand balm cream", "hand cream tube"),
        ("crème mains", "crema de manos", "Handcreme", "ハンドクリーム"),
    ),
    "face scrub": Kind(
        ("face scrub", "exfoliating scrub", "facial scrub"),
        ("gommage visage", "exfoliante facial", "Gesichtspeeling", "フェイススクラブ"),
    ),
    "face cream": Kind(
        ("face cream", "facial cream", "face cream moisturizer"),
        ("crème visage", "crema facial", "Gesichtscreme", "フェイスクリーム"),
    ),
    "eye cream": Kind(
        ("eye cream", "eye contour cream", "under eye cream"),
        ("crème contour des yeux", "contorno de ojos", "Augencreme", "アイクリーム"),
    ),
    "body butter": Kind(
        ("body butter", "body balm butter", "rich body butter"),
        ("beurre corporel", "manteca corporal", "Körperbutter", "ボディバター"),
    ),
    "lipstick": Kind(
        ("lipstick", "lip color lipstick", "satin lipstick"),
        ("rouge à lèvres", "barra de labios", "Lippenstift", "口紅 リップ"),
    ),
    "lip gloss": Kind(
        ("lip gloss", "lipgloss", "shiny lip gloss"),
        ("brillant à lèvres", "brillo de labios", "Lipgloss", "リップグロス"),
    ),
    "mascara": Kind(
        ("mascara", "volume mascara", "black mascara"),
        ("mascara volume", "máscara de pestañas", "Wimperntusche", "マスカラ"),
    ),
    "nail polish": Kind(
        ("nail polish", "nail lacquer", "nail varnish polish"),
        ("vernis à ongles", "esmalte de uñas", "Nagellack", "ネイルポリッシュ"),
    ),
    "eau de parfum": Kind(
        ("eau de parfum", "eau de parfum spray", "perfume EDP"),
        (
            "eau de parfum vaporisateur",
            "agua de perfume",
            "Eau de Parfum Duft",
            "オードパルファム 香水",
        ),
    ),
    "eau de toilette": Kind(
        ("eau de toilette", "eau de toilette spray", "fragrance EDT"),
        (
            "eau de toilette vaporisateur",
            "agua de colonia",
            "Eau de Toilette Duft",
            "オードトワレ 香水",
        ),
    ),
    "eyeshadow palette": Kind(
        ("eyeshadow palette", "eye shadow palette", "8 pan eyeshadow"),
        (
            "palette fards à paupières",
            "paleta de sombras",
            "Lidschattenpalette",
            "アイシャドウパレット",
        ),
    ),
    "pressed powder": Kind(
        ("pressed powder", "compact powder", "pressed face powder"),
        ("poudre compacte", "polvo compacto", "Kompaktpuder", "プレストパウダー"),
    ),
    "blush": Kind(
        ("blush", "powder blush", "blusher"), ("fard à joues", "colorete", "Rouge Puder", "チーク")
    ),
    "sheet mask": Kind(
        ("sheet mask", "face sheet mask", "facial mask sheet"),
        ("masque en tissu", "mascarilla de tela", "Tuchmaske", "シートマスク"),
    ),
    "soap bar": Kind(
        ("soap bar", "bar soap", "hand made soap bar"),
        ("savon solide", "pastilla de jabón", "Seifenstück", "固形石けん"),
    ),
}
