# ruff: noqa: E501
"""Product titles in English and in other languages, for the test of the language filter.

Every word here was written for the tests, without a look at the filter's own lists. Brands in Latin
letters stand in every language's titles, with and without accents; sizes and very short titles too.
"""

import random
from dataclasses import dataclass

SEED = 20
ENGLISH_TITLES = 1400
TITLES_PER_LANGUAGE = 60

BRANDS = (
    "L'Oréal Paris", "L’Oréal", "Lancôme", "Kérastase", "Estée Lauder", "Shu Uemura", "Garnier",
    "Nivea", "Maybelline", "Vichy", "La Roche-Posay", "Clinique", "NYX", "Dove", "Pantene", "Avène",
    "Bioderma", "Shiseido", "SK-II", "Yves Saint Laurent", "Dior", "Chanel", "Neutrogena", "Olay",
    "The Ordinary", "CeraVe", "MAC", "Rimmel", "Essence", "Eucerin", "Clarins", "Guerlain",
    "Schwarzkopf", "Wella", "Rexona", "Innisfree", "Laneige", "Missha", "Dolce & Gabbana", "Hugo Boss",
    "Biotherm", "Caudalie", "Nuxe", "Sisley", "Givenchy", "Hermès", "Chloé", "Paco Rabanne",
    # None of these is among the filter's neutral words.
    "Pixi", "Milk Makeup", "Glossier", "Tower 28", "Kosas", "Merit", "Ilia", "Summer Fridays",
    "Paula's Choice", "Farmacy", "Biossance", "Ole Henriksen", "Murad", "Perricone MD", "StriVectin",
    "Bumble and Bumble", "Living Proof", "Amika", "Ouidad", "Jergens", "Aveeno", "Burt's Bees",
    "Vaseline", "Eos", "Milani", "ColourPop", "Smashbox", "Hada Labo", "Kracie", "Holika Holika",
    "Banila Co", "Some By Mi", "Mizon", "Tony Moly", "Ziaja", "Bielenda", "Collistar", "Sesderma",
    "ISDIN", "Rituals", "Nuxelle", "Brindlehart", "Quillaby", "Orrinsby", "Vantorelle", "Miralune",
)  # fmt: skip
SIZES = (
    "50ml", "50 ml", "100ml", "1.7 oz", "3.4 fl oz", "30 g", "200 ml", "6.8 Fl. Oz.", "5ml",
    "2 x 75 ml", "N°5", "SPF 50", "SPF30", "01", "#203", "250ML", "0.5 oz/15 g", "", "", "",
)  # fmt: skip
PATTERNS = (
    "{brand} {thing} {rest} {size}",
    "{brand} {thing} {rest} {rest2}",
    "{thing} {rest} {brand} {size}",
    "{brand} - {thing} {rest}, {size}",
    "{thing} {rest} {rest2} {size}",
    "{brand} {thing} {size}",
    "{thing} {rest}",
    "{brand} {thing}",
)


@dataclass(frozen=True)
class Words:
    """What a language's titles are made of: product types, and what is said of them."""

    things: tuple[str, ...]
    rests: tuple[str, ...]


def _split(things: str, rests: str) -> Words:
    return Words(tuple(things.split("|")), tuple(rests.split("|")))


ENGLISH = _split(
    "Lipstick|Lip Balm|Mascara|Eyeliner Pencil|Liquid Foundation|Concealer|Pressed Powder|Blush|"
    "Eyeshadow Palette|Nail Polish|Shampoo|Conditioner|Hair Mask|Hair Oil|Dry Shampoo|Hair Spray|"
    "Body Lotion|Body Wash|Hand Cream|Face Cream|Night Cream|Eye Cream|Serum|Toner|Micellar Water|"
    "Face Wash|Cleansing Foam|Sheet Mask|Sunscreen|Deodorant Stick|Shower Gel|Perfume|Eau de Parfum|"
    "Eau de Toilette|Cologne|Setting Spray|Makeup Remover Wipes|Cotton Pads|Brush Set|Primer|"
    "Brow Gel|Lip Gloss|Lip Liner|Bronzer|Highlighter|Cuticle Oil|Bath Bombs|Soap Bar|Foot Cream|"
    "Beard Oil|Shaving Foam|After Shave|Toothpaste|Curling Iron|Hair Dryer|False Lashes|BB Cream|"
    "CC Cream|Essence|Ampoule|Peeling Gel|Clay Mask|Body Scrub|Self Tanner",
    "Hydrating|for Dry Skin|Matte|Long Lasting|Waterproof|in Rose Nude|Ruby Red|Volumizing|"
    "Anti-Aging|for Men|for Women|Travel Size|Pack of 2|with Vitamin C|with Hyaluronic Acid|"
    "Oil Free|Fragrance Free|Black|Ivory|Medium Beige|Refill|Gift Set|Limited Edition|for Curly Hair|"
    "Sensitive|Natural|Color Protect|Repair|Crème Brûlée|Café au Lait|Rouge Noir|Déjà Vu|"
    "Advanced Night Repair|Génifique|Hypnôse|Elnett|Elvive|Revitalift|Absolue|Nutritive|Elixir Ultime|"
    "La Vie Est Belle|Double Wear|True Match|Sensibio|Cicaplast Baume|Terre|J'adore|Touche Éclat|"
    "Free Shipping|New in Box|100% Authentic|Shade 120|Coconut|Lavender & Chamomile|Argan Oil|"
    "Tea Tree|Aloe Vera|Unisex|Damaged Hair|Extra Strength|Cruelty Free|Sealed|Discontinued",
)  # fmt: skip
ENGLISH_SHORT = (
    "Mascara", "Lipstick", "CeraVe", "Lip Balm", "Nail File", "Rose", "Hand Cream 50ml", "Shampoo",
    "Kérastase Elixir Ultime", "Lancôme La Vie Est Belle", "Shu Uemura Eyelash Curler", "Lancôme",
    "Estée Lauder Pleasures", "L'Oréal Elnett Satin", "L'Oréal", "Hermès Terre d'Hermès", "Olay",
    "Nars Orgasm", "Dior Sauvage", "Chloé Nomade", "Vichy Minéral 89", "Kiehl's", "30ml", "SPF 50",
    "Avène Cicalfate", "Chanel No 5", "Chanel Bleu de Chanel", "Tom Ford Noir", "Benefit Hoola",
    "Crème de la Mer", "Bioderma Sensibio H2O", "MAC Ruby Woo", "OPI Big Apple Red", "Acqua di Giò",
    "Essie Ballet Slippers", "Too Faced Better Than Sex", "YSL Libre", "Kenzo Flower", "Le Labo 33",
)  # fmt: skip

LATIN_SCRIPT = {
    "French": _split(
        "Crème hydratante|Rouge à lèvres|Vernis à ongles|Shampooing|Après-shampooing|Fond de teint|"
        "Lait pour le corps|Gel douche|Huile pour cheveux|Masque visage|Démaquillant yeux|Eau micellaire|"
        "Crème pour les mains|Sérum anti-rides|Brosse à cheveux|Savon|Crayon pour les yeux|Parfum femme",
        "pour peau sèche|peaux sensibles|longue tenue|cheveux abîmés|sans paraben|nuit|jour et nuit|"
        "à la rose|au beurre de karité|haute protection|pour homme|lot de deux|effet mat|"
        "livraison gratuite|neuf sous emballage|tous types de peau|soin réparateur|éclat du teint",
    ),
    "Spanish": _split(
        "Crema hidratante|Lápiz labial|Esmalte de uñas|Champú|Acondicionador|Base de maquillaje|"
        "Loción corporal|Gel de baño|Aceite para el cabello|Mascarilla facial|Desmaquillante de ojos|"
        "Agua micelar|Crema de manos|Sérum antiarrugas|Cepillo para el pelo|Jabón|Colonia|Protector solar",
        "para piel seca|pieles sensibles|larga duración|cabello dañado|sin parabenos|de noche|"
        "con aceite de argán|rosa mosqueta|alta protección|para hombre|para mujer|acabado mate|"
        "envío gratis|nuevo y original|todo tipo de piel|efecto volumen|a prueba de agua|frasco",
    ),
    "Portuguese": _split(
        "Creme hidratante|Batom líquido|Esmalte|Xampu|Condicionador|Base facial|Loção corporal|"
        "Sabonete líquido|Óleo capilar|Máscara facial|Demaquilante|Água micelar|Creme para as mãos|"
        "Sérum antissinais|Escova de cabelo|Perfume masculino|Protetor solar|Desodorante",
        "para pele seca|peles sensíveis|longa duração|cabelos danificados|sem parabenos|noturno|"
        "com óleo de coco|alta proteção|masculino|feminino|efeito fosco|frete grátis|"
        "novo e lacrado|todos os tipos de pele|à prova d'água|cabelos cacheados|embalagem econômica",
    ),
    "German": _split(
        "Feuchtigkeitscreme|Lippenstift|Nagellack|Haarshampoo|Spülung|Flüssiges Make-up|Körpermilch|"
        "Duschgel|Haaröl|Gesichtsmaske|Augen Make-up Entferner|Mizellenwasser|Handcreme|Tagespflege|"
        "Haarbürste|Seife|Wimperntusche|Sonnenmilch",
        "für trockene Haut|empfindliche Haut|lang anhaltend|strapaziertes Haar|ohne Parabene|Nacht|"
        "mit Sheabutter|hoher Schutz|für Herren|für Damen|matt|kostenloser Versand|neu und ungeöffnet|"
        "jeden Hauttyp|wasserfest|gegen Falten|mit Olivenöl|zwei Stück",
    ),
    "Italian": _split(
        "Crema idratante|Rossetto|Smalto per unghie|Balsamo|Fondotinta|Latte corpo|Bagnoschiuma|"
        "Olio per capelli|Maschera viso|Struccante occhi|Acqua micellare|Crema mani|Siero antirughe|"
        "Spazzola|Sapone|Profumo donna|Matita occhi|Crema solare",
        "per pelli secche|pelli sensibili|lunga durata|capelli danneggiati|senza parabeni|notte|"
        "con olio di argan|alta protezione|per uomo|per donna|effetto opaco|spedizione gratuita|"
        "nuovo con scatola|tutti i tipi di pelle|resistente all'acqua|capelli ricci|confezione da due",
    ),
    "Dutch": _split(
        "Hydraterende crème|Lippenstift|Nagellak|Droogshampoo|Haarverzorging|Vloeibare foundation|"
        "Bodymelk|Douchegel|Haarolie|Gezichtsmasker|Oogmake-up verwijderaar|Reinigingswater|Handcrème|"
        "Haarborstel|Zeep|Oogpotlood|Zonnebrand|Dagcrème",
        "voor droge huid|gevoelige huid|langhoudend|beschadigd haar|zonder parabenen|nacht|"
        "met arganolie|hoge bescherming|voor mannen|voor vrouwen|mat|gratis verzending|"
        "nieuw in verpakking|alle huidtypen|waterproof|krullend haar|twee stuks",
    ),
    "Turkish": _split(
        "Nemlendirici krem|Mat ruj|Oje|Şampuan|Saç kremi|Fondöten|Vücut losyonu|Duş jeli|Saç yağı|"
        "Yüz maskesi|Göz makyaj temizleyici|Makyaj temizleme suyu|El kremi|Göz kalemi|Saç fırçası|"
        "Sabun|Parfüm|Güneş kremi",
        "kuru ciltler için|hassas cilt|uzun süre kalıcı|yıpranmış saçlar|parabensiz|gece|"
        "argan yağı ile|yüksek koruma|erkek|kadın|ücretsiz kargo|orijinal ürün|tüm cilt tipleri|"
        "suya dayanıklı|kırışıklık karşıtı|kıvırcık saçlar|ikili paket",
    ),
    "Indonesian": _split(
        "Krim pelembab|Pewarna bibir|Cat kuku|Sampo|Kondisioner rambut|Alas bedak|Losion tubuh|"
        "Sabun mandi cair|Minyak rambut|Masker wajah|Pembersih riasan mata|Air pembersih|Krim tangan|"
        "Sisir rambut|Minyak wangi|Pensil alis|Tabir surya|Bedak tabur",
        "untuk kulit kering|kulit sensitif|tahan lama|rambut rusak|bebas paraben|malam|"
        "dengan minyak kelapa|untuk pria|untuk wanita|gratis ongkir|barang baru asli|"
        "semua jenis kulit|tahan air|mencerahkan wajah|isi dua|kemasan baru",
    ),
    "Polish": _split(
        "Krem nawilżający|Pomadka do ust|Lakier do paznokci|Szampon|Odżywka do włosów|Podkład|"
        "Mleczko do ciała|Żel pod prysznic|Olejek do włosów|Maseczka do twarzy|Płyn do demakijażu|"
        "Płyn micelarny|Krem do rąk|Tusz do rzęs|Szczotka|Mydło|Woda perfumowana|Kredka do oczu",
        "do skóry suchej|skóra wrażliwa|długotrwała|włosy zniszczone|bez parabenów|na noc|"
        "z olejkiem arganowym|wysoka ochrona|dla mężczyzn|damska|matowa|darmowa dostawa|"
        "nowy oryginalny|każdy rodzaj skóry|wodoodporny|przeciwzmarszczkowy|dwupak",
    ),
    "Swedish": _split(
        "Fuktgivande kräm|Läppstift|Nagellack|Schampo|Balsam för hår|Flytande foundation|Kroppslotion|"
        "Duschkräm|Hårolja|Ansiktsmask|Ögonmakeup borttagning|Rengöringsvatten|Handkräm|Dagkräm|"
        "Hårborste|Tvål|Ögonpenna|Solskydd",
        "för torr hud|känslig hud|långvarig|skadat hår|utan parabener|natt|med arganolja|"
        "högt skydd|för män|för kvinnor|matt|fri frakt|ny i förpackning|alla hudtyper|"
        "vattenfast|mot rynkor|lockigt hår|två stycken",
    ),
    "Danish": _split(
        "Fugtighedscreme|Læbestift|Neglelak|Hårshampoo|Balsam til hår|Flydende foundation|Kropslotion|"
        "Brusegel|Hårolie|Ansigtsmaske|Øjenmakeupfjerner|Rensevand|Håndcreme|Dagcreme|Hårbørste|"
        "Sæbe|Øjenblyant|Solcreme",
        "til tør hud|følsom hud|langtidsholdbar|skadet hår|uden parabener|nat|med arganolie|"
        "høj beskyttelse|til mænd|til kvinder|mat|gratis fragt|ny i æske|alle hudtyper|"
        "vandfast|mod rynker|krøllet hår|to stk",
    ),
    "Romanian": _split(
        "Cremă hidratantă|Ruj mat|Lac de unghii|Șampon|Balsam de păr|Fond de ten|Lapte de corp|"
        "Gel de duș|Ulei de păr|Mască de față|Demachiant pentru ochi|Apă micelară|Cremă de mâini|"
        "Perie de păr|Săpun|Apă de parfum|Creion de ochi|Cremă solară",
        "pentru ten uscat|piele sensibilă|rezistent|păr deteriorat|fără parabeni|de noapte|"
        "cu ulei de argan|protecție ridicată|pentru bărbați|pentru femei|livrare gratuită|"
        "nou în cutie|toate tipurile de piele|rezistent la apă|antirid|păr creț",
    ),
    "Vietnamese": _split(
        "Kem dưỡng ẩm|Son môi|Sơn móng tay|Dầu gội|Dầu xả|Kem nền|Sữa dưỡng thể|Sữa tắm|"
        "Dầu dưỡng tóc|Mặt nạ|Tẩy trang mắt|Nước tẩy trang|Kem dưỡng da tay|Nước hoa nữ|Kem chống nắng",
        "cho da khô|da nhạy cảm|lâu trôi|tóc hư tổn|không chứa paraben|ban đêm|chính hãng|"
        "dành cho nam|miễn phí vận chuyển|mọi loại da|chống thấm nước|chống lão hóa",
    ),
}
OTHER_SCRIPT = {
    "Russian": _split(
        "Увлажняющий крем|Помада для губ|Лак для ногтей|Шампунь|Бальзам для волос|Тональный крем|"
        "Молочко для тела|Гель для душа|Масло для волос|Маска для лица|Мицеллярная вода|Тушь",
        "для сухой кожи|для чувствительной кожи|стойкая|для мужчин|ночной|без парабенов|"
        "бесплатная доставка|оригинал|для всех типов кожи|водостойкая",
    ),
    "Ukrainian": _split(
        "Зволожуючий крем|Помада|Лак для нігтів|Шампунь|Кондиціонер|Тональна основа|Гель для душу",
        "для сухої шкіри|стійка|для чоловіків|нічний|без парабенів|безкоштовна доставка",
    ),
    "Greek": _split(
        "Ενυδατική κρέμα|Κραγιόν|Βερνίκι νυχιών|Σαμπουάν|Μαλακτικό|Αφρόλουτρο|Κρέμα χεριών",
        "για ξηρή επιδερμίδα|μεγάλης διάρκειας|για άνδρες|νύχτας|δωρεάν αποστολή|αδιάβροχο",
    ),
    "Chinese": _split(
        "保湿面霜|口红|指甲油|洗发水|护发素|粉底液|身体乳|沐浴露|眼霜|面膜|卸妆水|护手霜|香水|防晒霜",
        "干性肌肤|敏感肌|持久不脱色|补水|男士|夜间修护|包邮|正品|美白|清爽控油|套装",
    ),
    "Japanese": _split(
        "保湿クリーム|口紅|マニキュア|シャンプー|コンディショナー|ファンデーション|ボディローション|"
        "ヘアオイル|フェイスマスク|クレンジング|ハンドクリーム|日焼け止め|化粧水|美容液",
        "乾燥肌用|敏感肌|ウォータープルーフ|メンズ|夜用|詰め替え|送料無料|正規品|しっとり|さっぱり",
    ),
    "Korean": _split(
        "수분 크림|립스틱|매니큐어|샴푸|린스|파운데이션|바디로션|샤워젤|헤어 오일|마스크팩|핸드크림|선크림",
        "건성 피부|민감성|지속력|남성용|나이트|무료배송|정품|촉촉한|기획세트|미백",
    ),
    "Arabic": _split(
        "كريم مرطب|أحمر شفاه|طلاء أظافر|شامبو|بلسم|كريم أساس|لوشن للجسم|جل استحمام|زيت للشعر|عطر نسائي",
        "للبشرة الجافة|طويل الأمد|للرجال|ليلي|توصيل مجاني|أصلي|مقاوم للماء",
    ),
    "Thai": _split(
        "ครีมบำรุงผิว|ลิปสติก|ยาทาเล็บ|แชมพู|ครีมนวดผม|รองพื้น|โลชั่น|เจลอาบน้ำ|น้ำหอม",
        "สำหรับผิวแห้ง|ติดทนนาน|สำหรับผู้ชาย|กลางคืน|ส่งฟรี|ของแท้|กันน้ำ",
    ),
    "Hebrew": _split(
        "קרם לחות|שפתון|לק לציפורניים|שמפו|מרכך|קרם ידיים|בושם לאישה|סבון",
        "לעור יבש|עמיד לאורך זמן|לגבר|לילה|משלוח חינם|מקורי",
    ),
    "Hindi": _split(
        "मॉइस्चराइजिंग क्रीम|लिपस्टिक|नेल पॉलिश|शैम्पू|कंडीशनर|बॉडी लोशन|बालों का तेल|फेस मास्क",
        "रूखी त्वचा के लिए|लंबे समय तक|पुरुषों के लिए|रात|मुफ्त डिलीवरी|असली",
    ),
}  # fmt: skip


def english_titles() -> list[str]:
    """At least ENGLISH_TITLES different titles of an English-language shop."""
    rng = random.Random(f"English {SEED}")
    return [*ENGLISH_SHORT, *_titles(ENGLISH, ENGLISH_TITLES, rng)]


def foreign_titles() -> dict[str, list[str]]:
    """TITLES_PER_LANGUAGE different titles in each of the other languages."""
    return {
        language: _titles(words, TITLES_PER_LANGUAGE, random.Random(f"{language} {SEED}"))
        for language, words in (LATIN_SCRIPT | OTHER_SCRIPT).items()
    }


def _titles(words: Words, count: int, rng: random.Random) -> list[str]:
    made: dict[str, None] = {}
    while len(made) < count:
        rest, rest2 = rng.sample(words.rests, 2)
        filled = rng.choice(PATTERNS).format(
            brand=rng.choice(BRANDS),
            thing=rng.choice(words.things),
            rest=rest,
            rest2=rest2,
            size=rng.choice(SIZES),
        )
        title = " ".join(filled.split()).strip(" ,-")
        made.setdefault(rng.choice((title, title, title, title.upper(), title.lower())))
    return list(made)
